// The engine of `capsnet demo`: this page's server computes.
"use strict";

const engine = {
  async setup() {
    try {
      return await (await fetch("setup")).json();
    } catch {
      throw new Error("The page's server does not answer; start capsnet demo again.");
    }
  },

  // What the network says of a file, or of the drawing on a canvas.
  async look({ model, file, canvas }) {
    const query = new URLSearchParams({ model, name: file ? file.name : "the drawing" });
    const body = file || (await new Promise((done) => canvas.toBlob(done, "image/png")));
    return this.post(`look?${query}`, body);
  },

  // The image that a capsule describes when its pose is `pose`.
  redraw(asked) {
    return this.post("redraw", JSON.stringify(asked));
  },

  async post(path, body) {
    let reply;
    try {
      reply = await fetch(path, { method: "POST", body });
    } catch {
      throw new Error("The page's server does not answer; start capsnet demo again.");
    }
    const content = await reply.json().catch(() => ({}));
    if (!reply.ok) throw new Error(content.error || "The server failed; its terminal says why.");
    return content;
  },
};
