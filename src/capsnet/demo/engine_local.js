// The engine of the static page: this browser computes, by onnxruntime-web. Before it stand prepare.js, model.js
// (`MODEL`) and runtime.js (`RUNTIME`, `ort`). Nothing is fetched, so that the page also opens as a file.
"use strict";

const engine = {
  async setup() {
    ort.env.wasm.numThreads = 1;
    const address = (content, type) => URL.createObjectURL(new Blob([content], { type }));
    ort.env.wasm.wasmPaths = {
      mjs: address(RUNTIME.glue, "text/javascript"),
      wasm: address(await unpack(RUNTIME.wasm), "application/wasm"),
    };
    const open = async (graph) => ort.InferenceSession.create(new Uint8Array(await unpack(graph)));
    this.encoder = await open(MODEL.encoder);
    this.decoder = MODEL.decoder && (await open(MODEL.decoder));
    return { models: [MODEL.name], uploads: false };
  },

  async look({ canvas }) {
    const began = performance.now(), prepared = prepare(read(canvas));
    const [channels, height, width] = MODEL.shape, size = height * width;
    const image = new Uint8Array(channels * size);
    for (let c = 0; c < channels; c++) image.set(prepared.pixels, c * size);
    const given = await this.encoder.run({ image: new ort.Tensor("uint8", image, [1, ...MODEL.shape]) });
    const lengths = [...given.lengths.data], poses = rows(given.poses.data, MODEL.names.length);
    if (![...lengths, ...given.poses.data].every(Number.isFinite)) {
      throw new Error("This network's answer is not finite (NaN or infinity); train it again.");
    }
    const order = lengths.map((_, label) => label).sort((one, other) => lengths[other] - lengths[one]);
    const found = order.slice(0, MODEL.pairs ? 2 : 1);
    this.seen = given.seen;
    const drawn = this.decoder && (await this.decode(found[0], poses[found[0]]));
    const signals = { length: lengths[order[0]], gap: lengths[order[0]] - lengths[order[order.length > 1 ? 1 : 0]],
      pieces: prepared.pieces, ...(drawn ? drawn.errors : {}) };
    const reasons = findReasons(signals);
    return {
      names: MODEL.names, found, lengths, poses, seen: toPicture(given.seen), drawn: drawn ? drawn.picture : null,
      places: MODEL.places && { ...MODEL.places, steps: MODEL.places.iterations.map((iteration, step) =>
        ({ iteration, shares: nest(given.shares, step) })) },
      note: MODEL.note, about: MODEL.about, unsure: reasons.length > 0, reasons, word: MODEL.word,
      preparation: MODEL.preparation,
      milliseconds: performance.now() - began,
    };
  },

  async redraw({ label, pose }) {
    return (await this.decode(label, pose)).picture;
  },

  async decode(label, pose) {
    const poses = new Float32Array(MODEL.names.length * pose.length);
    poses.set(pose, label * pose.length);
    const given = await this.decoder.run({
      poses: new ort.Tensor("float32", poses, [1, MODEL.names.length, pose.length]),
      labels: new ort.Tensor("int64", BigInt64Array.of(BigInt(label)), [1]),
      seen: this.seen,
    });
    const [error, patch] = given.errors.data;
    return { picture: toPicture(given.reconstruction), errors: { error, patch_error: patch } };
  },
};

const unpack = async (text) => {
  const packed = new Blob([Uint8Array.from(atob(text), (char) => char.charCodeAt(0))]);
  return new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
};

function read(canvas) {
  const { width, height } = canvas, { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const pixels = new Uint8Array(width * height);
  for (let k = 0; k < pixels.length; k++) pixels[k] = data[4 * k];
  return { width, height, pixels };
}

function prepare(drawing) {
  const [channels, height, width] = MODEL.shape;
  if (MODEL.preparation !== "digit" || channels !== 1) return fitDrawing(drawing, height, width);
  return centerDigit(drawing, height, width);
}

function findReasons(signals) {
  const { limits, words } = MODEL;
  if (signals.pieces === 0) return [MODEL.no_digit];
  if (!limits) return [];
  // of NaN every comparison is false
  const beyond = (name) => typeof limits[name] === "number" && signals[name] != null && !(signals[name] <= limits[name]);
  const holds = { pieces: beyond("pieces"), length: !(signals.length >= limits.length), gap: !(signals.gap >= limits.gap),
    error: beyond("error") || beyond("patch_error") };
  return Object.keys(words).filter((name) => holds[name]).map((name) => words[name]);
}

function rows(values, count) {
  const size = values.length / count;
  return Array.from({ length: count }, (_, k) => [...values.subarray(k * size, (k + 1) * size)]);
}

// One step of `s n y x`.
function nest({ data, dims: [, classes, height, width] }, step) {
  const start = step * classes * height * width;
  return rows(data.subarray(start, start + classes * height * width), classes).map((plane) =>
    Array.from({ length: height }, (_, y) => plane.slice(y * width, (y + 1) * width)));
}

// Of a stereo pair one view, from 0 to 255, in the order row, column, channel, in base64.
function toPicture({ data, dims: [, all, height, width] }) {
  const channels = all === 3 ? 3 : 1, size = height * width;
  const bytes = Array.from({ length: size * channels }, (_, k) =>
    roundEven(Math.min(Math.max(data[(k % channels) * size + Math.floor(k / channels)], 0), 1) * 255));
  let text = "";
  // the number of arguments of a function is limited
  for (let k = 0; k < bytes.length; k += 8192) text += String.fromCharCode(...bytes.slice(k, k + 8192));
  return { height, width, channels, pixels: btoa(text) };
}
