"use strict";

// A trial takes no answer before this: the second click of a double click would fall on the next pair, unseen.
const SHORTEST_MS = 300;
const RETRY_MS = 1000;

const element = (id) => document.getElementById(id);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const address = (name) => `images/${name}.png`;
const sides = { left: element("left"), right: element("right") };
const images = ["left", "damaged", "right"].map((id) => element(id).querySelector("img"));

let study = null; // what /state answered
let answered = new Set();
let position = null; // of the trial on the screen
let shownAt = null; // when its pictures appeared; null while no answer is taken

function show(id) {
  for (const view of ["intro", "trial", "thanks"]) element(view).hidden = view !== id;
}

function trouble(text) {
  element("trouble").hidden = !text;
  element("trouble").textContent = text;
}

// Tries until the server answers. What it refuses, it would refuse again, so that is shown and ends here.
async function request(path, options) {
  for (;;) {
    try {
      const response = await fetch(path, { ...options, cache: "no-store" });
      if (response.ok) {
        trouble("");
        return response;
      }
      if (response.status < 500) {
        trouble(`The server refused this (${response.status}). Please load the page again.`);
        return new Promise(() => {});
      }
    } catch {
      // No connection: said below.
    }
    trouble("The server does not answer. Trying again; nothing you did is lost.");
    await pause(RETRY_MS);
  }
}

async function begin(method, path) {
  study = await (await request(path, { method })).json();
  document.title = study.title;
  element("title").textContent = study.title;
  element("asked").textContent = element("question").textContent = study.question;
  element("count").textContent = element("done").textContent = study.count;
  if (!study.trials) {
    show("intro");
    element("start").focus();
    return;
  }
  answered = new Set(study.answered);
  element("bar").max = study.count;
  next();
}

function next() {
  position = study.trials.findIndex((_, place) => !answered.has(place));
  if (position < 0) {
    show("thanks");
    element("thanks").querySelector("h1").focus();
    return;
  }
  show("trial");
  present(study.trials[position]);
}

async function present(trial) {
  element("place").textContent = `${answered.size + 1} of ${study.count}`;
  element("bar").value = answered.size;
  element("pair").classList.remove("ready");
  for (const side of Object.values(sides)) side.classList.remove("chosen");
  element("toggle").hidden = !trial.damaged;
  if (!trial.damaged) setDamaged(false);
  const names = [trial.left, trial.damaged, trial.right];
  await Promise.all(images.map((image, place) => names[place] && load(image, address(names[place]))));
  images.forEach(limit);
  element("pair").classList.add("ready");
  await new Promise(requestAnimationFrame);
  shownAt = performance.now();
  preload();
}

// Both pictures appear at once, decoded, however slow the line.
async function load(image, source) {
  for (;;) {
    image.src = source;
    try {
      await image.decode();
      trouble("");
      return;
    } catch {
      trouble("A picture did not arrive. Trying again.");
      await pause(RETRY_MS);
      image.removeAttribute("src");
    }
  }
}

// Twice its size at most: more would show the browser's interpolation in place of the method's work.
function limit(image) {
  image.style.maxWidth = `${2 * image.naturalWidth}px`;
  image.style.maxHeight = `${2 * image.naturalHeight}px`;
}

function preload() {
  const following = study.trials.find((_, place) => place > position && !answered.has(place));
  for (const name of following ? Object.values(following) : []) {
    if (name) new Image().src = address(name);
  }
}

async function choose(choice) {
  if (shownAt === null) return;
  const ms = Math.round(performance.now() - shownAt);
  if (ms < SHORTEST_MS) return;
  shownAt = null;
  sides[choice].classList.add("chosen");
  await request("votes", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Study-Token": study.token },
    body: JSON.stringify({ trial: position, choice, ms }),
  });
  answered.add(position);
  next();
}

function setDamaged(on) {
  element("damaged").hidden = !on;
  element("toggle").setAttribute("aria-pressed", String(on));
}

const toggleDamaged = () => setDamaged(element("damaged").hidden);

element("start").addEventListener("click", () => begin("POST", "start"));
element("toggle").addEventListener("click", toggleDamaged);
sides.left.addEventListener("click", () => choose("left"));
sides.right.addEventListener("click", () => choose("right"));

const KEYS = {
  ArrowLeft: () => choose("left"),
  1: () => choose("left"),
  ArrowRight: () => choose("right"),
  2: () => choose("right"),
  d: () => element("toggle").hidden || toggleDamaged(),
};

document.addEventListener("keydown", (event) => {
  const held = event.altKey || event.ctrlKey || event.metaKey || event.repeat; // Alt and an arrow is the browser's own
  if (held || element("trial").hidden || !Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
});

begin("GET", "state");
