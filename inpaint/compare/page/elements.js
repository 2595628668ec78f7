"use strict";
// Names come from folders and configs: everything is set as text or attribute, nothing as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

const html = (name, attributes = {}, ...children) => build(document.createElement(name), attributes, children);
const svg = (name, attributes = {}, ...children) => build(document.createElementNS(SVG, name), attributes, children);

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

function number(value, digits, signed = false) {
  if (!isNumber(value)) return "–";
  const text = Math.abs(value).toFixed(digits);
  const sign = value < 0 && Number(text) !== 0 ? "−" : signed ? "+" : "";
  return sign + text;
}

// The value of a figure of `data.columns`, as its table prints it.
const figure = (name, value, signed, digits = data.columns[name].digits) => number(value, digits, signed);
const withUnit = (name, text) => (data.columns[name].unit ? `${text} ${data.columns[name].unit}` : text);
const interval = (name, bounds, signed, digits) => `[${bounds.map((bound) => figure(name, bound, signed, digits)).join(", ")}]`;

function short(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(1).replace("e+", "e").replace("-", "−");
  return String(Number(value.toPrecision(4))).replace("-", "−");
}

const truncated = (text, length) => (text.length > length ? `${text.slice(0, Math.max(1, length - 1))}…` : text);

// Keys and values that set a run apart, a line each.
const differing = (found) => Object.entries(found).map(([key, value]) => `${key}=${value}`);

const tip = document.getElementById("tip");

function showTip(lines, x, y) {
  tip.replaceChildren(...lines.map((line, place) => html(place ? "div" : "strong", {}, line)));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - box.width - 8))}px`;
  tip.style.top = `${y - box.height - 10 < 4 ? y + 18 : y - box.height - 10}px`;
}

const hideTip = () => { tip.hidden = true; };
addEventListener("scroll", hideTip, { passive: true });
