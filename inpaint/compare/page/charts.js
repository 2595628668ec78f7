// Axes, scales and pointing, for the plots of plots.js.

// A chart as wide as its place: drawn again when that changes.
function chart(description, draw) {
  const place = html("div", { class: "chart" });
  let width = 0;
  const redraw = () => {
    if (!width) return;
    const drawn = draw(width);
    drawn.root.setAttribute("role", "img");
    drawn.root.setAttribute("aria-label", description);
    place.replaceChildren(drawn.root);
  };
  new ResizeObserver(() => {
    const now = Math.floor(place.clientWidth);
    if (now && now !== width) { width = now; redraw(); }
  }).observe(place);
  return { place, redraw };
}

const ruler = document.createElement("canvas").getContext("2d");

// Pixels that a label takes.
function textWidth(text) {
  ruler.font = "600 12px system-ui, sans-serif";
  return ruler.measureText(text).width;
}

// The text, cut to so many pixels.
function fitted(text, width) {
  if (textWidth(text) <= width) return text;
  let length = text.length - 1;
  while (length > 1 && textWidth(`${text.slice(0, length)}…`) > width) length -= 1;
  return `${text.slice(0, length)}…`;
}

// Round numbers from low to high, about `count` of them.
function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  const found = [];
  for (let place = Math.ceil(low / step - 1e-9); place * step <= high + step * 1e-9; place += 1) found.push(place * step);
  return found;
}

function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const factor of [1, 2, 5]) found.push(factor * 10 ** power);
  }
  const within = found.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  return within.length > 7 ? within.filter((value) => Number.isInteger(Math.round(Math.log10(value) * 1e6) / 1e6)) : within;
}

// Values to pixels; logarithmic where everything is positive and spans more than `logFrom` times.
function scale(values, from, to, { logFrom = Infinity, count = 5 } = {}) {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  const isLog = low > 0 && high / low > logFrom;
  if (isLog) {
    [low, high] = [low / 1.25, high * 1.25];
    const per = (to - from) / Math.log(high / low);
    return { at: (value) => from + Math.log(value / low) * per, ticks: logTicks(low, high), isLog };
  }
  const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  [low, high] = [low - room, high + room];
  return { at: (value) => from + ((value - low) / (high - low)) * (to - from), ticks: ticks(low, high, count), isLog };
}

// An empty plot: margins, axes, grid; `front` takes the marks, `hits` what can be pointed at: {x, y, lines}.
function frame(width, height, { x, y, xLabel, yLabel, left = 54, right = 14, top = 14, bottom = 44, yGrid = true }) {
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height });
  const [x1, x2, y1, y2] = [left, width - right, height - bottom, top];
  const [xs, ys] = [x(x1, x2), y(y1, y2)];
  const back = svg("g", { class: "axes" });
  for (const value of ys.ticks) {
    if (yGrid) back.append(svg("line", { x1, x2, y1: ys.at(value), y2: ys.at(value) }));
    back.append(svg("text", { x: x1 - 8, y: ys.at(value) + 4, "text-anchor": "end" }, ys.text ? ys.text(value) : short(value)));
  }
  for (const value of xs.ticks) {
    if (!xs.text) back.append(svg("line", { x1: xs.at(value), x2: xs.at(value), y1, y2 }));
    (xs.text ? xs.text(value) : [short(value)]).forEach((line, place) => {
      back.append(svg("text", { x: xs.at(value), y: y1 + 16 + 13 * place, "text-anchor": "middle" }, line));
    });
  }
  back.append(svg("text", { x: (x1 + x2) / 2, y: height - 4, "text-anchor": "middle", class: "label" }, xLabel));
  if (yLabel) back.append(svg("text", { transform: `translate(11 ${(y1 + y2) / 2}) rotate(-90)`, "text-anchor": "middle", class: "label" }, yLabel));
  const front = svg("g");
  root.append(back, front);
  const hits = [];
  pointing(root, hits);
  return { root, front, hits, x: xs.at, y: ys.at, box: { x1, x2, y1, y2 } };
}

// Shows what is nearest to the pointer.
function pointing(root, hits) {
  const ring = svg("circle", { r: 7, class: "ring", visibility: "hidden" });
  root.append(ring);
  const leave = () => { ring.setAttribute("visibility", "hidden"); hideTip(); };
  const move = (event) => {
    const box = root.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let nearest = null, least = 30 ** 2;
    for (const hit of hits) {
      const distance = (hit.x - x) ** 2 + (hit.y - y) ** 2;
      if (distance < least) [nearest, least] = [hit, distance];
    }
    if (!nearest) { leave(); return; }
    ring.setAttribute("cx", nearest.x);
    ring.setAttribute("cy", nearest.y);
    ring.setAttribute("visibility", "visible");
    showTip(nearest.lines, box.left + nearest.x, box.top + nearest.y);
  };
  root.addEventListener("pointermove", move);
  root.addEventListener("pointerdown", move);
  root.addEventListener("pointerleave", leave);
}

// Models are filled circles, fills hollow squares: colours repeat after ten, and not everyone sees them.
function marker(line, place, x, y) {
  const kind = `mark c${place % 10}${line.isEntry ? "" : " hollow"}`;
  return line.isEntry
    ? svg("circle", { cx: x, cy: y, r: 4.5, class: kind })
    : svg("rect", { x: x - 4, y: y - 4, width: 8, height: 8, class: kind });
}

// An interval as a bar with feet, upright or lying.
function whisker(place, from, to, at, lying = false) {
  const path = lying
    ? `M${from} ${at}H${to}M${from} ${at - 4}v8M${to} ${at - 4}v8`
    : `M${at} ${from}V${to}M${at - 4} ${from}h8M${at - 4} ${to}h8`;
  return svg("path", { d: path, class: `whisker c${place % 10}` });
}
