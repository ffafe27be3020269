// Brings a drawing, light strokes on black, into the form of a network's images: byte for byte as data/photo.py and
// data/images.py do where the paper around the strokes is black. `drawing` is {width, height, pixels}: a byte for each
// pixel.
"use strict";

const BOX = 20, FRAME = 28; // side of the box around a digit, in a frame of 28 and in larger ones

// Python rounds halves to even numbers.
function roundEven(value) {
  const low = Math.floor(value), rest = value - low;
  return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
}

// The part of a drawing that is not black; null where all is.
function crop({ width, height, pixels }) {
  let left = width, top = height, right = 0, bottom = 0;
  for (let y = 0, k = 0; y < height; y++) {
    for (let x = 0; x < width; x++, k++) {
      if (!pixels[k]) continue;
      if (x < left) left = x;
      if (x >= right) right = x + 1;
      if (y < top) top = y;
      bottom = y + 1;
    }
  }
  return right ? cut({ width, pixels }, { left, top, right, bottom }) : null;
}

function cut({ width, pixels }, { left, top, right, bottom }) {
  const part = { width: right - left, height: bottom - top, pixels: new pixels.constructor((right - left) * (bottom - top)) };
  for (let y = top; y < bottom; y++) {
    part.pixels.set(pixels.subarray(y * width + left, y * width + right), (y - top) * part.width);
  }
  return part;
}

// Finds the digit and sets it into a frame as MNIST's were; `pieces` is 0 where there is none.
function centerDigit(drawing, height, width) {
  const inked = crop(drawing), ink = inked && findInk(inked);
  if (!ink) return { width, height, pixels: new Uint8Array(width * height), pieces: 0 };
  const digit = cut({ width: inked.width, pixels: ink.values }, unite(ink.pieces));
  digit.pixels = Uint8Array.from(digit.pixels, roundEven);
  return { ...frame(digit, height, width), pieces: countPieces(ink.pieces) };
}

function findInk({ width, height, pixels }) {
  const strong = pixels.reduce((one, other) => Math.max(one, other)) / 2;
  const middle = pixels.filter((value) => value > strong).sort();
  const at = 0.75 * (middle.length - 1), low = Math.floor(at);
  const peak = middle[low] + (at - low) * (middle[Math.min(low + 1, middle.length - 1)] - middle[low]);
  if (peak < 8) return null;
  const factor = Math.fround(255 / peak), values = Float32Array.from(pixels, (value) => Math.min(value * factor, 255));
  const found = findPieces(values.map((value) => value > 51), width, height);
  const largest = Math.max(...found.map((piece) => piece.places.length));
  const pieces = found.filter((piece) => piece.places.length >= largest / 12); // the others are specks
  const near = new Uint8Array(width * height);
  for (const { places } of pieces) for (const place of places) near[place] = 1;
  grow(grow(near, width, height), width, height).forEach((inside, k) => { if (!inside) values[k] = 0; });
  return { values, pieces };
}

// Regions that touch along sides or corners, with the boxes around them.
function findPieces(mask, width, height) {
  const seen = new Uint8Array(mask.length), pieces = [];
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || seen[start]) continue;
    const places = [start], box = { left: width, top: height, right: 0, bottom: 0 };
    seen[start] = 1;
    for (let next = 0; next < places.length; next++) {
      const x = places[next] % width, y = Math.floor(places[next] / width);
      box.left = Math.min(box.left, x);
      box.right = Math.max(box.right, x + 1);
      box.top = Math.min(box.top, y);
      box.bottom = Math.max(box.bottom, y + 1);
      for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
          const place = v * width + u;
          if (mask[place] && !seen[place]) {
            seen[place] = 1;
            places.push(place);
          }
        }
      }
    }
    pieces.push({ ...box, places });
  }
  return pieces;
}

function grow(mask, width, height) {
  return mask.map((inside, k) => {
    const x = k % width;
    return inside || (x > 0 && mask[k - 1]) || (x < width - 1 && mask[k + 1]) ||
      (k >= width && mask[k - width]) || (k < width * (height - 1) && mask[k + width]) ? 1 : 0;
  });
}

function unite(boxes) {
  const all = (side, choose) => choose(...boxes.map((box) => box[side]));
  return { left: all("left", Math.min), top: all("top", Math.min), right: all("right", Math.max), bottom: all("bottom", Math.max) };
}

// How many large pieces stand side by side; those above one another count as one.
function countPieces(pieces) {
  const tall = Math.max(...pieces.map((piece) => piece.bottom - piece.top));
  const largest = Math.max(...pieces.map((piece) => piece.places.length));
  const spans = pieces
    .filter((piece) => piece.places.length >= 0.2 * largest && piece.bottom - piece.top >= 0.4 * tall)
    .map((piece) => [piece.left, piece.right])
    .sort((one, other) => one[0] - other[0] || one[1] - other[1]);
  let count = 0, end = 0, wide = 0;
  for (const [start, stop] of spans) {
    if (count === 0 || end - start <= 0.25 * Math.min(wide, stop - start)) {
      count++;
      wide = stop - start;
    } else wide = Math.max(wide, stop - start);
    end = Math.max(end, stop);
  }
  return count;
}

// The digit in its box, set with its centre of mass into the middle.
function frame(digit, height, width) {
  const side = Math.max(1, Math.min(BOX, roundEven(Math.min(height, width) * BOX / FRAME)));
  const factor = side / Math.max(digit.width, digit.height);
  const scaled = resize(digit, Math.max(1, roundEven(digit.width * factor)), Math.max(1, roundEven(digit.height * factor)), LANCZOS);
  let mass = 0, row = 0, column = 0;
  scaled.pixels.forEach((value, k) => {
    mass += value + 1e-6;
    row += (value + 1e-6) * Math.floor(k / scaled.width);
    column += (value + 1e-6) * (k % scaled.width);
  });
  const place = (all, center, size) => Math.min(Math.max(roundEven((all - 1) / 2 - center), 0), all - size);
  return paste(scaled, width, height, place(width, column / mass, scaled.width), place(height, row / mass, scaled.height), 0);
}

function paste(image, width, height, left, top, ground) {
  const pixels = new Uint8Array(width * height).fill(ground);
  for (let y = 0; y < image.height; y++) {
    pixels.set(image.pixels.subarray(y * image.width, (y + 1) * image.width), (top + y) * width + left);
  }
  return { width, height, pixels };
}

// Scales a drawing into a frame, aspect kept; the rest is filled with its border's median.
function fitDrawing(drawing, height, width) {
  let [wide, tall] = [width, height];
  if (drawing.width * height > drawing.height * width) tall = Math.max(1, roundEven(drawing.height / drawing.width * width));
  else if (drawing.width * height < drawing.height * width) wide = Math.max(1, roundEven(drawing.width / drawing.height * height));
  const scaled = resize(drawing, wide, tall, BILINEAR);
  if (wide === width && tall === height) return scaled;
  const border = [];
  for (let y = 0; y < tall; y++) border.push(scaled.pixels[y * wide], scaled.pixels[y * wide + wide - 1]);
  for (let x = 0; x < wide; x++) border.push(scaled.pixels[x], scaled.pixels[(tall - 1) * wide + x]);
  border.sort((one, other) => one - other);
  const half = border.length / 2; // the number is even
  return paste(scaled, width, height, Math.floor((width - wide) / 2), Math.floor((height - tall) / 2),
    Math.floor((border[half - 1] + border[half]) / 2));
}

// ---- Pillow's resize: weights in 22 bits, rows first, rounded to bytes after each direction

const sinc = (x) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));
const LANCZOS = { support: 3, at: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) };
const BILINEAR = { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) };

function resize(image, width, height, filter) {
  let { pixels } = image;
  if (width !== image.width) {
    const taps = makeTaps(image.width, width, filter), rows = new Uint8Array(width * image.height);
    for (let y = 0; y < image.height; y++) {
      taps.forEach((tap, x) => { rows[y * width + x] = weigh(pixels, y * image.width + tap.first, 1, tap.weights); });
    }
    pixels = rows;
  }
  if (height !== image.height) {
    const taps = makeTaps(image.height, height, filter), columns = new Uint8Array(width * height);
    taps.forEach((tap, y) => {
      for (let x = 0; x < width; x++) columns[y * width + x] = weigh(pixels, tap.first * width + x, width, tap.weights);
    });
    pixels = columns;
  }
  return { width, height, pixels };
}

function makeTaps(before, after, filter) {
  const scale = before / after, stretch = Math.max(scale, 1), support = filter.support * stretch;
  return Array.from({ length: after }, (_, k) => {
    const center = (k + 0.5) * scale;
    const first = Math.max(Math.trunc(center - support + 0.5), 0), last = Math.min(Math.trunc(center + support + 0.5), before);
    const shares = Array.from({ length: last - first }, (_, x) => filter.at((x + first - center + 0.5) / stretch));
    const sum = shares.reduce((one, other) => one + other, 0);
    return { first, weights: shares.map((share) => Math.trunc(share / sum * 2 ** 22 + (share < 0 ? -0.5 : 0.5))) };
  });
}

function weigh(pixels, start, step, weights) {
  let sum = 2 ** 21;
  for (let k = 0; k < weights.length; k++) sum += pixels[start + k * step] * weights[k];
  return Math.min(Math.max(Math.floor(sum / 2 ** 22), 0), 255);
}
