// The same holes under all methods, with a slider between the input, or the truth, and the result.

function pictureGrid(block, state) {
  const options = { before: "input", together: true };
  const grid = html("div", { class: "holes" });
  let cells = [];

  function setCut(cell, value) {
    cell.frame.style.setProperty("--cut", `${value}%`);
    cell.slider.value = value;
  }

  function cellOf(hole, place) {
    const line = block.lines[place];
    const slider = html("input", {
      type: "range", min: 0, max: 100, step: 1, value: 50,
      "aria-label": `${line.name}, hole ${hole.index}: share of the picture that shows what was there before`,
    });
    const before = html("img", { src: hole[options.before] || hole.input, alt: options.before, draggable: "false" });
    const result = html("img", { src: hole.results[place], alt: `repaired by ${line.name}`, class: "result", draggable: "false" });
    const frame = html("div", { class: "frame" }, before, result, html("span", { class: "divider" }), slider);
    const value = hole.figures[place][state.figure];
    const known = hole.figures.map((figures) => figures[state.figure]).filter(isNumber);
    const best = data.columns[state.figure].higher_is_better ? Math.max(...known) : Math.min(...known);
    const caption = html("figcaption", {}, html("span", { class: `name c${place % 10}` }, line.name),
      isNumber(value) ? html("span", { class: value === best ? "best" : null }, withUnit(state.figure, figure(state.figure, value))) : null);
    const cell = { hole, place, slider, before, frame, node: html("figure", { class: "cell" }, frame, caption) };
    slider.addEventListener("input", () => {
      for (const other of options.together ? cells : [cell]) setCut(other, slider.value);
    });
    return cell;
  }

  function plain(hole, kind) {
    return html("figure", { class: "cell" }, html("div", { class: "frame" }, html("img", { src: hole[kind], alt: kind })), html("figcaption", {}, kind));
  }

  function draw() {
    const cut = cells.length ? cells[0].slider.value : 50;
    cells = [];
    const shown = state.shown();
    grid.replaceChildren(...block.pictures.map((hole) => {
      const own = shown.filter((place) => hole.results[place]).map((place) => cellOf(hole, place));
      cells.push(...own);
      const area = isNumber(hole.area) ? `, ${(100 * hole.area).toFixed(1)} % of the picture` : "";
      return html("section", { class: "hole" }, html("h4", {}, `Hole ${hole.index}${area}`),
        html("div", { class: "cells" }, plain(hole, "input"), hole.truth ? plain(hole, "truth") : null, own.map((cell) => cell.node)));
    }));
    for (const cell of cells) setCut(cell, cut);
  }

  const before = html("select", {}, html("option", { value: "input" }, "input"), html("option", { value: "truth" }, "truth"));
  before.addEventListener("change", () => {
    options.before = before.value;
    for (const cell of cells) {
      cell.before.src = cell.hole[options.before] || cell.hole.input;
      cell.before.alt = options.before;
    }
  });
  const together = html("input", { type: "checkbox", checked: true });
  together.addEventListener("change", () => { options.together = together.checked; });
  const size = html("input", { type: "range", min: 96, max: 512, step: 16, value: 176 });
  size.addEventListener("input", () => grid.style.setProperty("--size", `${size.value}px`));
  draw();
  const tools = html("div", { class: "tools" },
    html("label", {}, "left of the slider ", before),
    html("label", {}, together, " all sliders together"),
    html("label", {}, "size ", size));
  return { node: html("div", { class: "pictures" }, tools, grid), redraw: draw };
}
