// A table that its headings sort: by click, by Enter or Space; what has no value comes last either way.
//
// columns: {heading, hint, value: row -> number or text, cell: row -> node or text, falling: first order of a click,
//           numeric, heads: whether its cells name their row}
function sortableTable({ caption, columns, rows, sortBy, rowClass = () => null }) {
  const body = html("tbody");
  const heads = columns.map((column) => {
    const button = html("button", { type: "button", title: column.hint }, column.heading, html("span", { class: "arrow", "aria-hidden": "true" }));
    const head = html("th", { scope: "col", class: column.numeric ? "number" : null }, button);
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      sort(column, now === null ? Boolean(column.falling) : now === "ascending");
    });
    return head;
  });
  const lines = rows.map((row) => ({
    row,
    node: html("tr", { class: rowClass(row) }, columns.map((column) =>
      html(column.heads ? "th" : "td", { scope: column.heads ? "row" : null, class: column.numeric ? "number" : null }, column.cell(row)))),
  }));

  function sort(column, falling) {
    heads.forEach((head, place) => {
      if (columns[place] === column) head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    const known = (value) => value !== null && value !== undefined && value !== "";
    const sorted = [...lines].sort((a, b) => {
      const [x, y] = [column.value(a.row), column.value(b.row)];
      if (!known(x) || !known(y)) return known(y) - known(x);
      const order = typeof x === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
      return falling ? -order : order;
    });
    body.replaceChildren(...sorted.map((line) => line.node));
  }

  const first = columns.find((column) => column.key === sortBy) || columns[0];
  sort(first, Boolean(first.falling));
  return html("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    html("table", { class: "sortable" }, html("caption", { class: "unseen" }, caption), html("thead", {}, html("tr", {}, heads)), body));
}

// The leaderboard of a block. Best is what prints as the best does; alike is what the paired interval cannot tell from it.
function leaderboard(block, names) {
  const known = (name) => block.lines.map((line) => line.figures[name]).filter(isNumber);
  const columns = [{
    key: "run", heading: "run", heads: true, value: (line) => line.name,
    cell: (line) => [
      html("span", { class: `name c${block.lines.indexOf(line) % 10}`, title: line.folders.join("\n") }, line.name),
      line.trained || line.isEntry ? null : html("span", { class: "apart" }, "classical fill"),
      line.seeds.length > 1 ? html("span", { class: "apart" }, `${line.seeds.length} seeds: ${line.seeds.join(", ")}`) : null,
      differing(line.apart).map((text) => html("span", { class: "apart" }, text)),
    ],
  }];
  for (const name of names) {
    const column = data.columns[name];
    const values = known(name);
    if (!values.length) continue;
    const best = figure(name, column.higher_is_better ? Math.max(...values) : Math.min(...values));
    const differences = block.differences[name];
    columns.push({
      key: name, heading: column.heading, hint: column.definition, numeric: true, falling: column.higher_is_better,
      value: (line) => line.figures[name],
      cell: (line) => {
        const value = line.figures[name];
        if (!isNumber(value)) return "–";
        const isBest = values.length > 1 && figure(name, value) === best;
        const difference = differences && differences[block.lines.indexOf(line)];
        const alike = !isBest && difference && difference.images > 1 && !difference.is_real;
        const bounds = line.intervals[name], deviation = line.deviations[name];
        return [
          html("span", { class: isBest ? "value best" : "value" },
            alike ? html("span", { class: "alike", title: "its difference to the best may be none" }, "≈ ") : null,
            figure(name, value), isBest ? html("span", { class: "unseen" }, " (best)") : null),
          isNumber(deviation) ? html("small", {}, `± ${figure(name, deviation)}`) : bounds ? html("small", {}, interval(name, bounds)) : null,
        ];
      },
    });
  }
  const counts = [
    ["parameters", "params (M)", "parameters of the generator, in millions", (value) => number(value / 1e6, 2)],
    ["updates", "updates", "batches it was trained with", (value) => Math.round(value).toLocaleString("en")],
    ["train_seconds", "training (min)", "wall-clock time of training, on whatever machine that was", (value) => number(value / 60, 1)],
  ];
  for (const [name, heading, hint, text] of counts) {
    if (!known(name).length) continue;
    columns.push({
      key: name, heading, hint, numeric: true, value: (line) => line.figures[name],
      cell: (line) => (isNumber(line.figures[name]) ? text(line.figures[name]) : "–"),
    });
  }
  for (const [name, hint] of Object.entries(data.counts)) {
    if (!block.lines.some((line) => line.counts[name])) continue;
    columns.push({ key: name, heading: name, hint, numeric: true, value: (line) => line.counts[name], cell: (line) => line.counts[name] || "" });
  }
  if (block.lines.some((line) => line.preference)) {
    columns.push({
      key: "preference", heading: "preference", hint: "Bradley-Terry score of the study", numeric: true, falling: true,
      value: (line) => line.preference && line.preference.score,
      cell: (line) => line.preference && [
        html("span", { class: "value" }, number(line.preference.score, 2, true)),
        html("small", {}, `[${number(line.preference.low, 2, true)}, ${number(line.preference.high, 2, true)}]`),
      ],
    });
  }
  return sortableTable({
    caption: `Leaderboard on ${block.title}`, columns, rows: block.lines, sortBy: data.sort,
    rowClass: (line) => (line.isEntry ? null : "fill"),
  });
}
