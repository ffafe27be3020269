// Draws, asks the engine, and shows what it says. `engine` (engine_server.js, engine_local.js) has three functions:
// setup(), look({model, file, canvas}) and redraw({model, label, pose}). No library, nothing from elsewhere.
"use strict";

const byId = (id) => document.getElementById(id);
const paper = byId("canvas"), brush = paper.getContext("2d");
const SENT = 224; // side of the picture that is sent: eight times MNIST's
const THICK = 0.075; // of a stroke, as a share of the side
const REACH = 0.25; // how far a slider moves a number, as in the paper
// a digit to begin with
const EXAMPLE = [[.31, .3], [.38, .22], [.5, .19], [.62, .22], [.68, .31], [.65, .4], [.56, .46], [.46, .49],
  [.57, .5], [.67, .55], [.72, .64], [.69, .74], [.59, .81], [.46, .82], [.35, .78], [.29, .71]];

const sent = Object.assign(document.createElement("canvas"), { width: SENT, height: SENT });
const sentBrush = sent.getContext("2d", { willReadFrequently: true });
let strokes = [], picture = null, upload = null; // what is on the paper, and the file that it came from
let setup = null, seen = null, chosen = null, offsets = []; // chosen: null follows the longest capsule
let turn = 0; // grows with each new drawing or upload
let pressed = false; // the pointer is drawing

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const text = (id, value) => { byId(id).textContent = value; };
const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(value).toFixed(2);

// ---- paper

function trace(context, points, side) {
  const at = ([x, y]) => [x * side, y * side];
  const between = (one, other) => [(one[0] + other[0]) / 2, (one[1] + other[1]) / 2];
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = THICK * side;
  context.beginPath();
  context.moveTo(...at(points[0]));
  for (let k = 1; k < points.length - 1; k++) {
    context.quadraticCurveTo(...at(points[k]), ...at(between(points[k], points[k + 1])));
  }
  const [x, y] = at(points[points.length - 1]);
  context.lineTo(x + 0.01, y); // a touch is a point
  context.stroke();
}

function paint() {
  const side = Math.round(paper.clientWidth * devicePixelRatio);
  if (paper.width !== side) paper.width = paper.height = side;
  brush.clearRect(0, 0, side, side);
  if (picture) {
    const scale = side / Math.max(picture.width, picture.height);
    const [width, height] = [picture.width * scale, picture.height * scale];
    const box = [(side - width) / 2, (side - height) / 2, width, height];
    brush.fillStyle = ground(picture);
    brush.fillRect(...box);
    brush.drawImage(picture, ...box);
  }
  brush.strokeStyle = color("stroke");
  strokes.forEach((points) => trace(brush, points, side));
  byId("hint").hidden = strokes.length > 0 || upload !== null;
}

// The colour behind transparent pixels, as capsnet chooses it for files: white strokes would vanish on white.
function ground(picture) {
  const small = Object.assign(document.createElement("canvas"), { width: 64, height: 64 }).getContext("2d");
  small.drawImage(picture, 0, 0, 64, 64);
  const { data } = small.getImageData(0, 0, 64, 64);
  let visible = 0, dark = 0;
  for (let k = 0; k < data.length; k += 4) {
    visible += data[k + 3];
    if (0.299 * data[k] + 0.587 * data[k + 1] + 0.114 * data[k + 2] < 128) dark += data[k + 3];
  }
  return dark < 0.01 * visible ? "#000" : "#fff";
}

function place(event) {
  const box = paper.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

paper.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !event.isPrimary) return;
  paper.setPointerCapture(event.pointerId);
  turn++;
  pressed = true;
  if (upload || document.body.dataset.example) forget();
  strokes.push([place(event)]);
  paint();
  ask();
});
paper.addEventListener("pointermove", (event) => {
  if (!paper.hasPointerCapture(event.pointerId) || !strokes.length) return;
  const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  strokes[strokes.length - 1].push(...(events.length ? events : [event]).map(place));
  paint();
  ask();
});

for (const kind of ["pointerup", "pointercancel"]) {
  paper.addEventListener(kind, () => {
    if (pressed && !waiting && seen) speak();
    pressed = false;
  });
}

function forget() {
  strokes = [];
  upload = picture = chosen = null;
  delete document.body.dataset.example;
  byId("error").hidden = true;
}

byId("clear").addEventListener("click", () => { turn++; forget(); paint(); idle(); });
byId("example").addEventListener("click", () => { turn++; forget(); showExample(); });

function showExample() {
  strokes = [EXAMPLE];
  document.body.dataset.example = "yes";
  paint();
  ask();
}

// ---- asking: one request at a time; what came meanwhile is asked once, at its end

let waiting = 0;

function latest(task) {
  let running = false, wanted = false;
  return async () => {
    wanted = true;
    if (running) return;
    running = true;
    document.body.setAttribute("aria-busy", ++waiting > 0);
    while (wanted) {
      wanted = false;
      try { await task(); } catch (fault) { complain(fault.message); }
    }
    running = false;
    document.body.setAttribute("aria-busy", --waiting > 0);
  };
}

function complain(message) {
  // a sentence, but a file keeps its name
  text("error", /^\S+\.\w/.test(message) ? message : message.charAt(0).toUpperCase() + message.slice(1));
  byId("error").hidden = false;
}

// The drawing as engines take it: light strokes on black.
function drawing() {
  sentBrush.fillStyle = "#000";
  sentBrush.fillRect(0, 0, SENT, SENT);
  sentBrush.strokeStyle = "#fff";
  strokes.forEach((points) => trace(sentBrush, points, SENT));
  return sent;
}

const ask = latest(async () => {
  const given = upload, drawn = strokes, model = byId("model").value;
  if (!setup || (!given && !drawn.length)) return;
  const began = performance.now();
  const answer = await engine.look({ model, file: given, canvas: given ? null : drawing() });
  if (given !== upload || drawn !== strokes || model !== byId("model").value) return; // cleared or changed meanwhile
  byId("error").hidden = true;
  answer.roundtrip = performance.now() - began;
  show(answer, model);
});

const askRedraw = latest(async () => {
  const [answer, label] = [seen, chosenLabel()];
  const pose = answer.poses[label].map((value, k) => value + offsets[k]);
  const drawn = await engine.redraw({ model: answer.model, label, pose });
  if (answer === seen && label === chosenLabel()) pixels(byId("drawn"), drawn);
});

// ---- answers

const chosenLabel = () => (chosen === null ? seen.found[0] : chosen);

// What the network named `model` says.
function show(answer, model) {
  answer.model = model;
  const fresh = !seen || answer.names.join() !== seen.names.join();
  if (fresh && chosen !== null && chosen >= answer.names.length) chosen = null;
  seen = answer;
  document.body.classList.remove("idle");
  const [first] = answer.found, name = answer.names[first], length = answer.lengths[first];
  text("answer", answer.found.map((label) => answer.names[label]).join(" "));
  byId("answer").classList.toggle("long", byId("answer").textContent.length > 4);
  text("verdict", answer.unsure ? `unsure: ${answer.reasons.join("; ")} (${answer.word} ${length.toFixed(2)})`
    : length >= 0.5 ? `${answer.word} ${length.toFixed(2)}`
      : `perhaps: no class has a large ${answer.word} (${length.toFixed(2)})`);
  byId("answer").classList.toggle("unsure", answer.unsure);
  const rest = answer.lengths.map((value, label) => [value, label]).filter(([, label]) => !answer.found.includes(label));
  const second = rest.sort((one, other) => other[0] - one[0])[0];
  text("verdict-more", second ? `next: ${answer.names[second[1]]}, ${second[0].toFixed(2)}` : "");
  const kind = answer.preparation === "digit" ? "digit" : "class";
  text("kind", kind);
  text("title", kind === "digit" ? "Draw a digit" : "Draw an image");
  document.title = `${byId("title").textContent} · capsnet`;
  if (!pressed) speak();
  text("about", answer.about);
  text("time", `Answered in ${Math.round(answer.milliseconds)} ms.`);
  document.body.dataset.answers = Number(document.body.dataset.answers || 0) + 1;
  document.body.dataset.roundtrip = answer.roundtrip;
  showBars(fresh);
  pixels(byId("seen"), answer.seen);
  showCapsule();
  if (chosen === null && answer.drawn) pixels(byId("drawn"), answer.drawn);
  else if (answer.drawn) askRedraw();
}

// Screen readers say an answer once, not at each point of a stroke.
function speak() { text("spoken", `${byId("answer").textContent}: ${byId("verdict").textContent}`); }

function idle() {
  document.body.classList.add("idle");
  text("spoken", "");
  if (!seen) return;
  mark();
  text("answer", "–");
  text("verdict", "");
  text("verdict-more", "");
  for (const bar of byId("bars").querySelectorAll(".bar")) fill(bar, 0, false, false);
}

function fill(bar, length, found, pressed) {
  bar.querySelector("i").style.setProperty("--length", Math.min(Math.max(length, 0), 1));
  bar.lastChild.textContent = length.toFixed(2);
  bar.dataset.length = length;
  bar.classList.toggle("found", found);
  bar.setAttribute("aria-pressed", pressed);
}

function showBars(fresh) {
  const list = byId("bars");
  // of very many classes the longest
  const labels = seen.names.map((_, label) => label);
  const many = labels.length > 16;
  if (many) labels.sort((one, other) => seen.lengths[other] - seen.lengths[one]).splice(16);
  const shown = [...list.querySelectorAll(".bar")].map((bar) => bar.dataset.label);
  // bars that stay keep the keyboard's focus
  if (fresh || shown.join() !== labels.join()) {
    const widest = Math.max(...labels.map((label) => seen.names[label].length));
    list.style.setProperty("--names", `${Math.min(Math.max(widest, 1), 14) * 0.62 + 0.8}em`);
    list.replaceChildren(...labels.map((label) => {
      const item = document.createElement("li"), bar = document.createElement("button");
      bar.type = "button";
      bar.className = "bar";
      bar.dataset.label = label;
      bar.title = `look into capsule ${seen.names[label]}`;
      bar.append(document.createElement("span"), document.createElement("i"), document.createElement("span"));
      bar.firstChild.textContent = seen.names[label];
      bar.addEventListener("click", () => choose(label));
      item.append(bar);
      return item;
    }));
  }
  for (const bar of list.querySelectorAll(".bar")) {
    const label = Number(bar.dataset.label);
    fill(bar, seen.lengths[label], seen.found.includes(label), label === chosenLabel());
  }
}

function choose(label) {
  if (document.body.classList.contains("idle")) return;
  chosen = label;
  showBars(false);
  showCapsule();
  if (seen.drawn) askRedraw();
}

function showCapsule() {
  const label = chosenLabel(), pose = seen.poses[label];
  text("chosen-name", seen.names[label]);
  text("places-name", seen.names[label]);
  offsets = pose.map(() => 0);
  document.querySelector(".pose").classList.toggle("plain", !seen.drawn);
  byId("drawn").parentElement.hidden = !seen.drawn;
  text("pose-note", seen.drawn
    ? `Each slider moves one of the ${pose.length} numbers of its pose, and the decoder draws it anew.`
    : "This network has no decoder: it recognises, but cannot draw.");
  if (seen.drawn) showSliders(pose);
  showPlaces(label);
}

function showSliders(pose) {
  const box = byId("sliders");
  if (box.children.length !== pose.length) {
    box.style.setProperty("--rows", Math.ceil(pose.length / 2));
    box.replaceChildren(...pose.map((_, k) => {
      const row = document.createElement("label");
      row.className = "slide";
      const range = Object.assign(document.createElement("input"),
        { type: "range", min: -REACH, max: REACH, step: 0.01, value: 0 });
      range.setAttribute("aria-label", `number ${k + 1} of the pose`);
      range.addEventListener("input", () => { offsets[k] = Number(range.value); mark(); askRedraw(); });
      row.append(Object.assign(document.createElement("span"), { textContent: k + 1 }), range,
        document.createElement("output"));
      return row;
    }));
  }
  mark();
}

function mark() {
  const resting = document.body.classList.contains("idle");
  [...byId("sliders").children].forEach((row, k) => {
    row.querySelector("input").value = offsets[k];
    row.querySelector("input").disabled = resting;
    row.querySelector("output").textContent = signed(offsets[k]);
    row.classList.toggle("moved", offsets[k] !== 0);
  });
  byId("reset").disabled = resting || offsets.every((value) => value === 0);
}

byId("reset").addEventListener("click", () => { offsets = offsets.map(() => 0); mark(); askRedraw(); });

function bytes(picture) { return Uint8Array.from(atob(picture.pixels), (char) => char.charCodeAt(0)); }

function pixels(canvas, picture) {
  const { width, height, channels } = picture, source = bytes(picture);
  canvas.width = width;
  canvas.height = height;
  const data = new ImageData(width, height);
  for (let k = 0; k < width * height; k++) {
    for (let c = 0; c < 3; c++) data.data[4 * k + c] = source[channels * k + (channels === 3 ? c : 0)];
    data.data[4 * k + 3] = 255;
  }
  canvas.getContext("2d").putImageData(data, 0, 0);
}

// ---- coupling over the image

function showPlaces(label) {
  const { places, note } = seen, box = byId("maps");
  byId("legend").hidden = !places;
  if (!places) {
    text("places-note", note);
    box.replaceChildren();
    return;
  }
  const fixed = places.steps.length > 1 ? "Routing sends each part of the image to the class with which it agrees." : note;
  text("places-note", `${fixed} Orange: more than an even share goes to ${seen.names[label]}; blue: less.`);
  const maps = places.steps.map((step) => step.shares[label]);
  const spread = maps.flat(2).reduce((most, share) => Math.max(most, Math.abs(share - 1)), 0.02);
  text("legend-low", `${Math.max(0, 1 - spread).toFixed(2)}×`);
  text("legend-high", `${(1 + spread).toFixed(2)}×`);
  if (box.children.length !== maps.length) {
    box.replaceChildren(...maps.map(() => {
      const figure = document.createElement("figure");
      figure.append(document.createElement("canvas"), document.createElement("figcaption"));
      return figure;
    }));
  }
  places.steps.forEach((step, k) => {
    const [canvas, caption] = box.children[k].children;
    caption.textContent = step.iteration === null ? "one step" : `iteration ${step.iteration}`;
    heat(canvas, maps[k], spread);
  });
}

// The places, with a margin of what they see around them, and the line of the drawing.
function heat(canvas, shares, spread) {
  const { width, height, channels } = seen.seen, { step, first, window: sees } = seen.places;
  const low = first - step / 2, [wide, tall] = [shares[0].length * step, shares.length * step];
  const around = Math.min(0.36 * sees, low), zoom = Math.max(4, Math.round(300 / (wide + 2 * around)));
  const at = (value) => (value - low + around) * zoom; // from the image's pixels to the canvas's
  canvas.width = (wide + 2 * around) * zoom;
  canvas.height = (tall + 2 * around) * zoom;
  const context = canvas.getContext("2d");
  const image = (source) => context.drawImage(source, at(0), at(0), width * zoom, height * zoom);
  if (channels === 3) {
    pixels(layer, seen.seen);
    context.globalAlpha = 0.4;
    image(layer);
  }
  shares.forEach((row, y) => row.forEach((share, x) => {
    // a share of 0 has the full colour of the legend's end
    const end = share > 1 ? spread : Math.min(spread, 1);
    context.globalAlpha = Math.min(Math.abs(share - 1) / end, 1) * 0.9;
    context.fillStyle = color(share > 1 ? "orange" : "blue");
    context.fillRect(at(low + x * step), at(low + y * step), step * zoom, step * zoom);
  }));
  context.globalAlpha = 1;
  context.strokeStyle = color("line");
  context.lineWidth = 2;
  context.strokeRect(at(low), at(low), wide * zoom, tall * zoom);
  if (channels === 1) context.drawImage(outline(canvas, image), 0, 0);
}

const layer = document.createElement("canvas"), lines = document.createElement("canvas");

// The border of what is lighter than half, in the colour of a stroke.
function outline(canvas, image) {
  const { width, height } = seen.seen, source = bytes(seen.seen), grey = new ImageData(width, height);
  source.forEach((value, k) => grey.data.set([255, 255, 255, value], 4 * k));
  Object.assign(layer, { width, height }).getContext("2d").putImageData(grey, 0, 0);
  const context = canvas.getContext("2d"), shown = context.getImageData(0, 0, canvas.width, canvas.height);
  context.clearRect(0, 0, canvas.width, canvas.height);
  image(layer);
  const alpha = context.getImageData(0, 0, canvas.width, canvas.height).data;
  context.putImageData(shown, 0, 0);
  Object.assign(lines, { width: canvas.width, height: canvas.height });
  const drawn = lines.getContext("2d");
  drawn.fillStyle = color("stroke");
  const inside = (x, y) => alpha[4 * (y * canvas.width + x) + 3] > 127;
  for (let y = 1; y < canvas.height; y++) {
    for (let x = 1; x < canvas.width; x++) {
      if (inside(x, y) !== inside(x - 1, y) || inside(x, y) !== inside(x, y - 1)) drawn.fillRect(x - 1.25, y - 1.25, 2.5, 2.5);
    }
  }
  return lines;
}

// ---- upload, networks, start

async function take(file) {
  if (!setup) return;
  byId("error").hidden = true;
  if (file.size > setup.max_bytes) {
    complain(`${file.name} is larger than ${setup.max_bytes / 1e6} MB; shrink it first.`);
    return;
  }
  const mine = ++turn, model = byId("model").value;
  try {
    const answer = await engine.look({ model, file });
    const bitmap = await createImageBitmap(file).catch(() => null); // the server can read more kinds than a browser
    if (mine !== turn) return; // drawn, cleared or uploaded meanwhile
    forget();
    upload = file;
    picture = bitmap;
    paint();
    if (model === byId("model").value) show(answer, model);
    else ask();
  } catch (fault) {
    if (mine === turn) complain(fault.message);
  }
}

byId("file").addEventListener("change", (event) => {
  if (event.target.files.length) take(event.target.files[0]);
  event.target.value = "";
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  byId("paper").addEventListener(kind, (event) => {
    event.preventDefault();
    byId("paper").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && !byId("file").disabled && event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
}
byId("model").addEventListener("change", () => { chosen = null; idle(); ask(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  paint();
  if (seen) showPlaces(chosenLabel());
});
new ResizeObserver(paint).observe(paper);

(async () => {
  try {
    setup = await engine.setup();
  } catch (fault) {
    complain(fault.message);
    return;
  }
  const uploads = setup.uploads !== false;
  byId("file").disabled = !uploads;
  document.querySelector("[for=file]").hidden = !uploads;
  byId("model").replaceChildren(...setup.models.map((name) => new Option(name, name)));
  document.querySelector(".network").hidden = setup.models.length < 2;
  if (strokes.length) ask(); // drawn meanwhile
  else showExample();
})();
