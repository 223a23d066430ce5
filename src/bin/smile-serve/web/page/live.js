"use strict";

// The pictures of many cameras in one response, since a browser opens only six connections to a server. Each part
// has a head with the camera's name and the picture's length.
class Wall {
  constructor(show) {
    this.show = show;
    this.names = "";
    this.heard = 0;
    setInterval(() => this.watch(), 2000);
  }

  // Has these cameras' pictures come, and no others'.
  set(names) {
    const joined = [...names].sort().join(",");
    if (joined === this.names) return;
    this.names = joined;
    this.restart();
  }

  restart() {
    this.stop?.abort();
    this.stop = null;
    if (!this.names || document.hidden) return;
    this.stop = new AbortController();
    this.heard = Date.now();
    this.read(this.names, this.stop.signal).catch(() => {});
  }

  // A connection that has died says nothing.
  watch() {
    if (this.names && !document.hidden && Date.now() - this.heard > 6000) this.restart();
  }

  async read(names, signal) {
    const response = await fetch(`/api/wall?cameras=${encodeURIComponent(names)}`, { signal });
    if (!response.ok) return;
    const reader = response.body.getReader();
    let bytes = new Uint8Array(0);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.heard = Date.now();
      bytes = join(bytes, value);
      for (let part; (part = cut(bytes)); bytes = part.rest) this.show(part.camera, part.picture);
    }
  }
}

function join(first, second) {
  if (!first.length) return second;
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

// The first whole part of what has come, if there is one.
function cut(bytes) {
  const head = new TextDecoder("latin1").decode(bytes.subarray(0, 400));
  const end = head.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const field = (name) => new RegExp(`${name}: *([^\\r]*)`, "i").exec(head.slice(0, end))?.[1] ?? "";
  const from = end + 4;
  const to = from + Number(field("Content-Length"));
  if (!(to + 2 <= bytes.length)) return null;
  const picture = new Blob([bytes.subarray(from, to)], { type: "image/jpeg" });
  return { camera: field("Camera"), picture, rest: bytes.subarray(to + 2) };
}

// Shows a picture in an image, and gives back the memory of the one before.
function put(image, picture) {
  const before = image.src;
  image.src = URL.createObjectURL(picture);
  if (before.startsWith("blob:")) URL.revokeObjectURL(before);
}

function take(image) {
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
  image.removeAttribute("src");
}

async function ask(path, options) {
  const response = await fetch(path, options);
  if (response.status === 401) location.reload();
  if (response.status === 204) return null;
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ?? response.statusText);
  return answer;
}
