// What the figures of a block look like. `shown` are the places of the lines that the legend has not switched off.

const arrow = (name) => (data.columns[name].higher_is_better ? "↑ better" : "↓ better");
const axisLabel = (name) => `${data.columns[name].heading} ${arrow(name)}`;
const empty = (width, text) => ({ root: svg("svg", { width, height: 60, viewBox: `0 0 ${width} 60` }, svg("text", { x: 8, y: 34, class: "label" }, text)) });

// The bounds to draw around a figure, and how to say them.
function spread(name, value, bounds, deviation) {
  if (isNumber(deviation)) return { bounds: [value - deviation, value + deviation], text: `± ${figure(name, deviation)} over seeds` };
  return bounds ? { bounds, text: `95 % ${interval(name, bounds)}` } : { bounds: null, text: null };
}

// Paired differences to the best, with intervals.
function forestPlot(block, state) {
  return chart("Paired differences to the best method, with 95 % intervals", (width) => {
    const { figure: name } = state;
    const differences = block.differences[name];
    const shown = state.shown().filter((place) => differences && isNumber(differences[place].mean));
    if (!shown.length) return empty(width, "No figures of single pictures to compare.");
    const sign = data.columns[name].higher_is_better ? -1 : 1;
    shown.sort((a, b) => sign * (differences[a].mean - differences[b].mean));
    const left = Math.min(Math.max(...shown.map((place) => textWidth(block.lines[place].name))) + 18, width * 0.4);
    const height = 26 * shown.length + 58;
    const values = shown.flatMap((place) => [differences[place].mean, differences[place].low, differences[place].high]).filter(isNumber);
    const at = (place) => 24 + 26 * shown.indexOf(place);
    const plot = frame(width, height, {
      left, top: 8, yGrid: false, xLabel: fitted(`${data.columns[name].heading}: difference to ${block.lines[block.best[name]].name}`, width - left),
      x: (from, to) => scale([0, ...values], from, to, { count: Math.max(2, (to - from) / 90) }),
      y: () => ({ at: (place) => at(place), ticks: shown, text: (place) => fitted(block.lines[place].name, left - 14) }),
    });
    plot.front.append(svg("line", { x1: plot.x(0), x2: plot.x(0), y1: plot.box.y1, y2: plot.box.y2, class: "zero" }));
    for (const place of shown) {
      const { mean, low, high, is_real: isReal, digits, images } = differences[place];
      const isReference = place === block.best[name];
      if (isNumber(low) && !isReference) plot.front.append(whisker(place, plot.x(low), plot.x(high), at(place), true));
      plot.front.append(marker(block.lines[place], place, plot.x(mean), at(place)));
      plot.hits.push({
        x: plot.x(mean), y: at(place),
        lines: [block.lines[place].name, isReference ? "the best" : withUnit(name, figure(name, mean, true, digits)),
          isReference || !isNumber(low) ? "" : `95 % ${interval(name, [low, high], true, digits)}: ${isReal ? "a real difference" : "may be none"}`, `${images} pictures`],
      });
    }
    return plot;
  });
}

// What each option of a grid is worth, all else equal; a group of rows for each setting.
function choicePlot(block, state) {
  return chart("Difference of each option to the best of its setting, with 95 % intervals", (width) => {
    const { figure: name } = state;
    const found = block.choices[name];
    if (!found) return empty(width, "Nothing was tried with all else equal.");
    const settings = [...new Set(found.map((choice) => choice.setting))];
    const rows = settings.flatMap((setting) => [{ setting }, ...found.filter((choice) => choice.setting === setting)]);
    const text = (row) => (row.option === undefined ? row.setting : row.option);
    const left = Math.min(Math.max(...rows.map((row) => textWidth(text(row)))) + 18, width * 0.45);
    const values = found.flatMap((choice) => [choice.difference, choice.low, choice.high]).filter(isNumber);
    const at = (row) => 24 + 24 * rows.indexOf(row);
    const plot = frame(width, 24 * rows.length + 58, {
      left, top: 8, yGrid: false, xLabel: fitted(`${data.columns[name].heading}: difference to the best option`, width - left),
      x: (from, to) => scale([0, ...values], from, to, { count: Math.max(2, (to - from) / 90) }),
      y: () => ({ at, ticks: rows, text: (row) => fitted(text(row), left - 14) }),
    });
    plot.front.append(svg("line", { x1: plot.x(0), x2: plot.x(0), y1: plot.box.y1, y2: plot.box.y2, class: "zero" }));
    for (const choice of found) {
      const place = settings.indexOf(choice.setting);
      if (isNumber(choice.low)) plot.front.append(whisker(place, plot.x(choice.low), plot.x(choice.high), at(choice), true));
      plot.front.append(marker({ isEntry: true }, place, plot.x(choice.difference), at(choice)));
      plot.hits.push({
        x: plot.x(choice.difference), y: at(choice),
        lines: [`${choice.setting}=${choice.option}`, `mean ${withUnit(name, figure(name, choice.mean))}`,
          choice.is_best ? "the best" : withUnit(name, figure(name, choice.difference, true, choice.digits)),
          isNumber(choice.low) ? `95 % ${interval(name, [choice.low, choice.high], true, choice.digits)}: ${choice.is_real ? "a real difference" : "may be none"}` : "",
          `${choice.runs} runs, ${choice.pairs} pairs`],
      });
    }
    return plot;
  });
}

// A figure against what it costs; the dashed line joins what nothing cheaper beats.
function scatterPlot(block, state, cost) {
  return chart(`Quality against ${cost.heading}`, (width) => {
    const { figure: name } = state;
    const points = state.shown().map((place) => ({ place, line: block.lines[place] }))
      .map((point) => ({ ...point, x: cost.value(point.line), y: point.line.figures[name] }))
      .filter((point) => isNumber(point.x) && isNumber(point.y))
      .map((point) => ({ ...point, ...spread(name, point.y, point.line.intervals[name], point.line.deviations[name]) }));
    if (!points.length) return empty(width, `No ${cost.heading} known.`);
    const plot = frame(width, 300, {
      xLabel: cost.heading, yLabel: axisLabel(name), right: 24,
      x: (from, to) => scale(points.map((point) => point.x), from, to, { logFrom: 8, count: Math.max(2, (to - from) / 80) }),
      y: (from, to) => scale(points.flatMap((point) => [point.y, ...(point.bounds || [])]), from, to),
    });
    const better = data.columns[name].higher_is_better ? 1 : -1;
    const front = [];
    for (const point of [...points].sort((a, b) => a.x - b.x || better * (b.y - a.y))) {
      if (!front.length || better * point.y > better * front.at(-1).y) front.push(point);
    }
    plot.front.append(svg("path", { class: "pareto", d: front.map((p, i) => `${i ? "L" : "M"}${plot.x(p.x)} ${plot.y(p.y)}`).join("") }));
    const taken = points.map((p) => ({ x: plot.x(p.x) - 6, y: plot.y(p.y) - 6, width: 12, height: 12 }));
    for (const point of points) {
      const [x, y] = [plot.x(point.x), plot.y(point.y)];
      if (point.bounds) plot.front.append(whisker(point.place, plot.y(point.bounds[0]), plot.y(point.bounds[1]), x));
      plot.front.append(marker(point.line, point.place, x, y));
      plot.hits.push({ x, y, lines: [point.line.name, withUnit(name, figure(name, point.y)), point.text, cost.text(point.x), ...differing(point.line.apart)].filter(Boolean) });
    }
    for (const point of points) label(plot, taken, fitted(point.line.name, 180), plot.x(point.x), plot.y(point.y));
    return plot;
  });
}

// A label beside its point, where it covers nothing; left out where there is no such place (the point can be pointed at).
function label(plot, taken, text, x, y) {
  const [width, height] = [textWidth(text), 13];
  const places = [[x + 9, y - 6], [x - 9 - width, y - 6], [x + 6, y - 21], [x + 6, y + 8], [x - 6 - width, y - 21], [x - 6 - width, y + 8]];
  for (const [left, top] of places) {
    const box = { x: left, y: top, width, height };
    const inside = left >= plot.box.x1 && left + width <= plot.box.x2 + 16 && top >= 0 && top + height <= plot.box.y1;
    const free = taken.every((other) => left > other.x + other.width || other.x > left + width || top > other.y + other.height || other.y > top + height);
    if (inside && free) {
      taken.push(box);
      plot.front.append(svg("text", { x: left, y: top + 10.5, class: "tag" }, text));
      return;
    }
  }
}

// A figure by hole area.
function areaPlot(block, state) {
  return chart("Quality by hole area", (width) => {
    const { figure: name } = state;
    const points = [];
    const shown = state.shown();
    shown.forEach((place, order) => block.areas.forEach((area, column) => {
      const found = block.lines[place].areas[area];
      const value = found && found.means[name];
      if (!isNumber(value)) return;
      points.push({ place, column: column + (shown.length > 1 ? (order / (shown.length - 1) - 0.5) * 0.5 : 0), value, area, ...found, ...spread(name, value, found.intervals[name], null) });
    }));
    if (!points.length) return empty(width, "Not measured by hole area.");
    const images = (area) => Math.max(...block.lines.map((line) => (line.areas[area] ? line.areas[area].images : 0)));
    const narrow = width / block.areas.length < 96;
    const plot = frame(width, 320, {
      xLabel: "hole area, and pictures of it", yLabel: axisLabel(name), bottom: 58,
      x: (from, to) => ({
        at: (column) => from + ((column + 0.5) / block.areas.length) * (to - from),
        ticks: block.areas.map((_, column) => column),
        text: (column) => [narrow ? block.areas[column].replace(" %", "") : block.areas[column], narrow ? `${images(block.areas[column])}` : `${images(block.areas[column])} pictures`],
      }),
      y: (from, to) => scale(points.flatMap((point) => [point.value, ...(point.bounds || [])]), from, to),
    });
    for (const place of shown) {
      const own = points.filter((point) => point.place === place);
      const line = block.lines[place];
      plot.front.append(svg("path", { class: `line c${place % 10}${line.isEntry ? "" : " dashed"}`, d: own.map((p, i) => `${i ? "L" : "M"}${plot.x(p.column)} ${plot.y(p.value)}`).join("") }));
      for (const point of own) {
        const [x, y] = [plot.x(point.column), plot.y(point.value)];
        if (point.bounds) plot.front.append(whisker(place, plot.y(point.bounds[0]), plot.y(point.bounds[1]), x));
        plot.front.append(marker(line, place, x, y));
        plot.hits.push({ x, y, lines: [line.name, `${point.area}: ${withUnit(name, figure(name, point.value))}`, point.text, `${point.images} pictures`].filter(Boolean) });
      }
    }
    return plot;
  });
}

// One curve of metrics.csv for every run.
// Begins the names of the figures of what costs nothing, and what that is called.
const FILLS = { "val/harmonic_": "the harmonic fill", "val/bicubic_": "the given picture" };
const isOfFill = (series) => Object.keys(FILLS).some((prefix) => series.startsWith(prefix));

function curvePlot(block, state, series) {
  return chart(`${series} by update`, (width) => {
    const shown = new Set(state.shown());
    const curves = block.curves.filter((curve) => shown.has(curve.line) && curve.series[series]);
    if (!curves.length) return empty(width, "All runs with this curve are switched off.");
    // Beside the model's figure stands, once for all runs of a block, that of what costs nothing on the same crops.
    const prefix = Object.keys(FILLS).find((each) => series.startsWith("val/") && curves.some((curve) => curve.series[series.replace("val/", each)]));
    const fill = prefix && curves.map((curve) => curve.series[series.replace("val/", prefix)]).find((own) => own);
    const points = [...curves.flatMap((curve) => curve.series[series]), ...(fill ?? [])];
    const plot = frame(width, 220, {
      xLabel: "updates", top: 10, bottom: 38,
      x: (from, to) => scale(points.map((point) => point[0]), from, to, { count: Math.max(2, (to - from) / 80) }),
      y: (from, to) => scale(points.map((point) => point[1]), from, to, { logFrom: 30, count: 4 }),
    });
    for (const curve of curves) {
      const line = block.lines[curve.line], own = curve.series[series];
      plot.front.append(svg("path", { class: `line c${curve.line % 10}`, d: own.map(([x, y], i) => `${i ? "L" : "M"}${plot.x(x).toFixed(1)} ${plot.y(y).toFixed(1)}`).join("") }));
      if (own.length === 1) plot.front.append(marker(line, curve.line, plot.x(own[0][0]), plot.y(own[0][1])));
      const name = line.seeds.length > 1 ? `${line.name}, ${curve.run}` : line.name;
      for (const [x, y] of own) plot.hits.push({ x: plot.x(x), y: plot.y(y), lines: [name, `${series} ${short(y)}`, `update ${x.toLocaleString("en")}`] });
    }
    if (fill) {
      const updates = points.map((point) => point[0]), value = fill.at(-1)[1];
      const [left, right] = [Math.min(...updates), Math.max(...updates)].map((update) => plot.x(update).toFixed(1)), height = plot.y(value);
      plot.front.append(svg("path", { class: "line fill", d: `M${left} ${height.toFixed(1)}L${right} ${height.toFixed(1)}` }));
      plot.hits.push({ x: Number(right), y: height, lines: [FILLS[prefix].slice(4), `${series} ${short(value)}`] });
    }
    return plot;
  });
}
