// The sections of the report, in the order they are read.

const main = document.getElementById("main");
const contents = document.getElementById("contents");
document.getElementById("version").textContent = data.version;

function section(id, title, parent, ...children) {
  contents.append(html("a", { href: `#${id}` }, title));
  const node = html("section", { id, class: "part" }, html("h2", {}, title), ...children);
  parent.append(node);
  return node;
}

const part = (title, hint, ...children) => html("section", { class: "figures" }, html("h3", {}, title), hint ? html("p", { class: "hint" }, hint) : null, ...children);

// In a sentence: what is best, and whether it is really better than the next.
function verdict(block) {
  const name = data.sort in data.columns ? data.sort : "hole_psnr";
  const places = block.lines.map((_, place) => place).filter((place) => isNumber(block.lines[place].figures[name]));
  const sign = data.columns[name].higher_is_better ? -1 : 1;
  places.sort((a, b) => sign * (block.lines[a].figures[name] - block.lines[b].figures[name]));
  if (places.length < 2) return null;
  const [first, second] = places.map((place) => block.lines[place]);
  const equal = places.filter((place) => block.lines[place].figures[name] === first.figures[name]).map((place) => block.lines[place].name);
  if (equal.length > 1) return html("p", { class: "verdict" }, `Best by ${data.columns[name].title}: a tie of ${equal.join(", ")}, ${withUnit(name, figure(name, first.figures[name]))}.`);
  const said = ["Best by ", data.columns[name].title, ": ", html("strong", {}, first.name), first.isEntry ? "" : " (a classical fill)", `, ${withUnit(name, figure(name, first.figures[name]))}. `];
  const difference = block.differences[name] && block.differences[name][places[1]];
  if (!difference || !isNumber(difference.low)) return html("p", { class: "verdict" }, said, `Next is ${second.name}, ${withUnit(name, figure(name, second.figures[name]))}.`);
  // Differences are to the best one; here it is the best that is spoken of.
  const gap = `by ${withUnit(name, figure(name, -difference.mean, true, difference.digits))} in pairs, 95 % ${interval(name, [-difference.high, -difference.low], true, difference.digits)}, ${difference.images} pictures`;
  return html("p", { class: "verdict" }, said, difference.is_real ? `Really better than the next, ${second.name}` : `Not told apart from the next, ${second.name}`, ` (${gap}).`);
}

function blockSection(block, number) {
  const several = data.blocks.length > 1;
  block.lines.forEach((line, place) => { line.isEntry = place < block.entries; });
  const parent = section(`set-${number}`, several ? `Set ${number}: ${block.entries} ${block.entries === 1 ? "run" : "runs"}` : "Results", main, html("p", { class: "hint" }, `Measured on ${block.title}.`), verdict(block));

  const available = Object.keys(data.columns).filter((name) => block.lines.some((line) => isNumber(line.figures[name])));
  const hidden = new Set();
  const state = {
    figure: available.includes(data.sort) ? data.sort : available[0],
    shown: () => block.lines.map((_, place) => place).filter((place) => !hidden.has(place)),
  };
  const drawings = [];
  const redraw = () => drawings.forEach((drawing) => drawing.redraw());
  const add = (drawing) => { drawings.push(drawing); return drawing.place || drawing.node; };

  // Table, with the rare columns on demand.
  const usual = available.filter((name) => data.shown.includes(name));
  const place = html("div", {}, leaderboard(block, usual));
  const all = html("input", { type: "checkbox" });
  all.addEventListener("change", () => place.replaceChildren(leaderboard(block, all.checked ? available : usual)));
  parent.append(place, html("p", { class: "hint" },
    available.length > usual.length ? html("label", { class: "inline" }, all, ` all ${available.length} figures`) : null,
    `Bold: best of its column. In small print: ± the standard deviation over seeds, or the ${block.interval}. `,
    Object.keys(block.differences).length ? "≈: the paired difference to the best may be none. " : "",
    Object.keys(block.usual).length ? `Otherwise ${differing(block.usual).join(", ")}.` : ""));

  // One figure and one legend for all plots and pictures of the set.
  const chosen = html("select", {}, available.map((name) => html("option", { value: name, selected: name === state.figure }, data.columns[name].heading)));
  chosen.addEventListener("change", () => { state.figure = chosen.value; redraw(); });
  const legend = html("div", { class: "legend", role: "group", "aria-label": "Methods shown" }, block.lines.map((line, index) => {
    const chip = html("button", { type: "button", class: `chip c${index % 10}${line.isEntry ? "" : " hollow"}`, "aria-pressed": "true", title: [...differing(line.apart)].join("\n") }, html("span", { class: "dot" }), truncated(line.name, 32));
    chip.addEventListener("click", () => {
      if (!hidden.delete(index)) hidden.add(index);
      chip.setAttribute("aria-pressed", String(!hidden.has(index)));
      redraw();
    });
    return chip;
  }));
  parent.append(html("div", { class: "toolbar" }, html("label", {}, "figure ", chosen), legend));

  if (Object.keys(block.differences).length) {
    parent.append(part("Which differences are real", "Picture by picture, method minus best, with such an interval. What touches zero may be no difference; of twenty such intervals about one misleads, and none of them speaks of other seeds.", add(forestPlot(block, state))));
  }
  if (Object.keys(block.choices).length) {
    parent.append(part("Which choice mattered", "Each option minus the best of its setting: the mean over pairs of runs that differ in nothing else, with its 95 % Student interval over the pairs. What touches zero may be no difference.", add(choicePlot(block, state))));
  }
  const costs = [
    { heading: "parameters (M)", value: (line) => isNumber(line.figures.parameters) ? line.figures.parameters / 1e6 : null, text: (x) => `${x.toFixed(2)} M parameters` },
    { heading: "ms per image", value: (line) => line.figures.ms, text: (x) => `${x.toFixed(1)} ms per image` },
  ].filter((cost) => block.lines.some((line) => isNumber(cost.value(line)) && cost.value(line) > 0));
  if (costs.length) {
    parent.append(part("Quality against cost", "The dashed line joins what nothing cheaper beats.", html("div", { class: "pair" }, costs.map((cost) => add(scatterPlot(block, state, cost))))));
  }
  if (block.areas.length) parent.append(part("By hole area", null, add(areaPlot(block, state))));
  const names = [...new Set(block.curves.flatMap((curve) => Object.keys(curve.series)))];
  const groups = [["Validation by update", "val/"], ["Training by update", "train/"]];
  for (const [title, prefix] of groups) {
    const own = names.filter((name) => name.startsWith(prefix) && !isOfFill(name));
    // What ranks comes first, then what most runs have.
    const having = (name) => block.curves.filter((curve) => curve.series[name]).length + (name === prefix + data.sort ? block.curves.length : 0);
    own.sort((a, b) => having(b) - having(a));
    if (!own.length) continue;
    const fills = Object.keys(FILLS).filter((fill) => own.some((name) => name !== name.replace("val/", fill) && names.includes(name.replace("val/", fill))));
    parent.append(part(title, fills.length ? `Dashed: ${fills.map((fill) => FILLS[fill]).join(", ")} on the same crops.` : null, html("div", { class: "curves" }, own.map((name) => {
      const key = name.slice(prefix.length);
      return html("div", {}, html("h4", {}, prefix === "val/" && key in data.columns ? axisLabel(key) : key.replaceAll("_", " ")), add(curvePlot(block, state, name)));
    }))));
  }
  if (block.pictures.length) {
    const fewer = block.pictures.length < block.holes ? ` ${block.pictures.length} of ${block.holes} holes are in this file; inpaint-compare --max-mb takes more.` : "";
    parent.append(part("Pictures", `The same holes under all methods. Drag on a picture, or use the arrow keys.${fewer}`, add(pictureGrid(block, state))));
  }
}

for (const note of data.notes) main.append(html("p", { class: "note" }, note));
data.blocks.forEach((block, index) => blockSection(block, index + 1));

if (data.configs.rows.length) {
  const { names, rows } = data.configs;
  section("configs", "Config differences", main,
    html("p", { class: "hint" }, "Only what differs. An empty cell: the run has no such setting, or there it is the same for all of its kind."),
    html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Config differences" },
      html("table", { class: "configs" }, html("thead", {}, html("tr", {}, html("th", { scope: "col" }, "key"), names.map((name) => html("th", { scope: "col" }, name)))),
        html("tbody", {}, rows.map((row) => html("tr", {}, html("th", { scope: "row" }, row.key), row.values.map((value) => html("td", {}, value))))))));
}

if (data.study) {
  const { study } = data;
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const sure = (row) => row.low > 0.5 || row.high < 0.5;
  section("study", "What people prefer", main, html("p", {}, html("strong", {}, study.question), ` ${study.votes} votes.`),
    sortableTable({
      caption: "Preferences", rows: study.pairs, sortBy: "share",
      columns: [
        { key: "a", heading: "a", heads: true, value: (row) => row.a, cell: (row) => row.a },
        { key: "b", heading: "b", value: (row) => row.b, cell: (row) => row.b },
        { key: "share", heading: "prefer a", hint: "share of votes for a; bold where the interval leaves 50 % out", numeric: true, falling: true, value: (row) => row.share,
          cell: (row) => [html("span", { class: sure(row) ? "value best" : "value" }, percent(row.share)), html("small", {}, `[${percent(row.low)}, ${percent(row.high)}]`)] },
        { key: "votes", heading: "votes", numeric: true, falling: true, value: (row) => row.votes, cell: (row) => row.votes },
      ],
    }),
    study.scores ? sortableTable({
      caption: "Bradley-Terry scores", rows: study.scores, sortBy: "score",
      columns: [
        { key: "method", heading: "method", heads: true, value: (row) => row.method, cell: (row) => row.method },
        { key: "score", heading: "score", hint: "Bradley-Terry, natural logarithm of odds, mean 0: a difference of 1 is a preference of 73 %", numeric: true, falling: true, value: (row) => row.score,
          cell: (row) => [html("span", { class: "value" }, number(row.score, 2, true)), html("small", {}, `[${number(row.low, 2, true)}, ${number(row.high, 2, true)}]`)] },
        { key: "votes", heading: "votes", numeric: true, falling: true, value: (row) => row.votes, cell: (row) => row.votes },
      ],
    }) : null,
    html("ul", { class: "hint" }, study.notes.map((note) => html("li", {}, note))));
}

const measured = Object.entries(data.columns).filter(([name]) => data.blocks.some((block) => block.lines.some((line) => isNumber(line.figures[name]))));
section("definitions", "Definitions", main, html("dl", {},
  [["images", data.definitions.images], ...measured.map(([, column]) => [column.heading, column.definition]), ...Object.entries(data.counts)]
    .map(([term, text]) => html("div", {}, html("dt", {}, term), html("dd", {}, text)))));
