
const by = (id) => document.getElementById(id);
const cameras = new Map();
const tiles = new Map();
const seen = new Set();
const FEED = 80;
const TEXTS = {
  "smile-started": ["☺", "smiles"],
  "smile-ended": ["–", "smiles no more"],
  "face-appeared": ["+", "has come"],
  "face-lost": ["×", "is gone"],
};
let shown = null;

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

const title = (camera) => camera.title || camera.name;
const clock = (time) => new Date(time).toLocaleTimeString([], { hour12: false });
const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;

// Why there is no picture, for people.
function away(camera) {
  if (camera.state === "live") return "";
  if (camera.state === "connecting") return camera.reason ? `Connecting again. ${camera.reason}` : "Connecting …";
  const retry = camera.retry ? ` Next try at ${clock(camera.retry)}.` : "";
  const reason = (camera.reason || camera.state).replace(/\.?$/, ".");
  return reason[0].toUpperCase() + reason.slice(1) + retry;
}

// ---- The wall

function tile(camera) {
  const link = make("a", "tile");
  link.href = `#/${camera.name}`;
  const shot = make("div", "shot");
  const image = make("img");
  image.alt = "";
  shot.append(image, make("div", "away"));
  const name = make("div", "name");
  name.append(make("b"), make("span", "who"), make("span", "pill"));
  link.append(shot, name);
  link.dataset.name = camera.name;
  visible.observe(link);
  return link;
}

function draw(camera) {
  let link = tiles.get(camera.name);
  if (!link) {
    link = tile(camera);
    tiles.set(camera.name, link);
    const names = [...cameras.keys()].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
    by("wall").insertBefore(link, tiles.get(names[names.indexOf(camera.name) + 1]) ?? null);
  }
  const isAway = camera.state !== "live";
  link.querySelector(".shot").classList.toggle("is-away", isAway);
  link.querySelector(".away").textContent = away(camera);
  link.classList.toggle("smiles", camera.smiling > 0);
  link.querySelector("b").textContent = title(camera);
  const who = link.querySelector(".who");
  who.textContent = camera.faces ? count(camera.faces, "face", "faces") : camera.state === "live" ? "nobody" : "";
  if (camera.smiling) who.append(", ", make("em", "", count(camera.smiling, "smile", "smiles")));
  const pill = link.querySelector(".pill");
  pill.className = `pill ${camera.state}`;
  pill.textContent = camera.state;
  link.setAttribute("aria-label", [title(camera), camera.state, who.textContent].filter(Boolean).join(", "));
}

function total() {
  const all = [...cameras.values()];
  const sum = (key) => all.reduce((sum, camera) => sum + camera[key], 0);
  by("count-live").textContent = `${all.filter((camera) => camera.state === "live").length}/${all.length}`;
  by("count-faces").textContent = sum("faces");
  by("count-faces").previousElementSibling.textContent = sum("faces") === 1 ? "face" : "faces";
  by("count-smiling").textContent = sum("smiling");
  by("empty").hidden = all.length > 0;
}

const wall = new Wall((name, picture) => {
  const image = tiles.get(name)?.querySelector("img");
  if (image) put(image, picture);
});
const visible = new IntersectionObserver((entries) => {
  for (const entry of entries) entry.target.dataset.visible = entry.isIntersecting ? "1" : "";
  look();
});

// Asks for the pictures of what can be seen.
function look() {
  const inSight = [...tiles.values()].filter((link) => link.dataset.visible === "1");
  wall.set(shown ? [] : inSight.map((link) => link.dataset.name));
}

function update(camera) {
  cameras.set(camera.name, camera);
  draw(camera);
  total();
  if (shown === camera.name) facts(camera);
}

function forget(name) {
  cameras.delete(name);
  const link = tiles.get(name);
  if (link) {
    visible.unobserve(link);
    take(link.querySelector("img"));
    link.remove();
  }
  tiles.delete(name);
  total();
  look();
  if (shown === name) location.hash = "#/";
}

// ---- One camera

function facts(camera) {
  by("camera-title").textContent = title(camera);
  by("camera-state").className = `pill ${camera.state}`;
  by("camera-state").textContent = camera.state;
  by("camera-remove").hidden = camera.fixed;
  by("camera-picture").alt = `${title(camera)}: ${count(camera.faces, "face", "faces")}, ${camera.smiling} smiling`;
  by("camera-picture").parentElement.classList.toggle("is-away", camera.state !== "live");
  by("camera-away").textContent = away(camera);
  const rows = [
    ["Faces", camera.faces],
    ["Smiling", camera.smiling],
    ["Frames a second", camera["frames-per-second"]],
    ["Size", camera.width ? `${camera.width} × ${camera.height}` : "–"],
    ["Restarts", camera.restarts],
    ["Source", camera.source, "long"],
  ];
  if (camera.tags.length) rows.push(["Tags", camera.tags.join(", "), "long"]);
  by("camera-facts").replaceChildren(...rows.map(([name, value, kind]) => {
    const row = make("div", kind ?? "");
    row.append(make("dt", "", name), make("dd", "", value));
    row.title = value;
    return row;
  }));
}

async function hour(name) {
  const now = Date.now();
  const from = Math.floor(now / 60000 - 59) * 60000;
  const history = await ask(`/api/history?camera=${name}&from=${from}&events=0`).catch(() => null);
  if (history && shown === name) timeline(from, history.minutes);
}

// A bar for each minute: how many faces there were on average, and which share of them smiled.
function timeline(from, minutes) {
  const known = new Map(minutes.map((minute) => [minute.time, minute]));
  const mean = (minute, part) => (minute.live > 0 ? minute[part] / minute.live : 0);
  const top = Math.max(1, Math.ceil(Math.max(0, ...minutes.map((minute) => mean(minute, "faces")))));
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 600 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const add = (tag, kind, values) => {
    const element = document.createElementNS(space, tag);
    element.setAttribute("class", kind);
    for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
    svg.append(element);
    return element;
  };
  for (let line = 0; line <= 2; line++) add("line", "grid", { x1: 0, x2: 600, y1: 1 + 49 * line, y2: 1 + 49 * line });
  let faces = 0, smiling = 0;
  for (let index = 0; index < 60; index++) {
    const minute = known.get(from + index * 60000);
    const x = 10 * index + 1;
    if (!minute || minute.live < 1) {
      add("rect", "off", { x, y: 97, width: 8, height: 2 });
      continue;
    }
    faces += minute.faces;
    smiling += minute.smiling;
    const text = `${clock(minute.time).slice(0, 5)}: ${mean(minute, "faces").toFixed(1)} faces, ` +
      `${minute.faces ? Math.round(100 * minute.smiling / minute.faces) : 0} % smiling`;
    for (const part of ["faces", "smiling"]) {
      const height = 98 * mean(minute, part) / top;
      const bar = add("rect", part === "faces" ? "faces" : "smiles", { x, y: 99 - height, width: 8, height, rx: 1.5 });
      const tip = document.createElementNS(space, "title");
      tip.textContent = text;
      bar.append(tip);
    }
  }
  const share = faces ? Math.round(100 * smiling / faces) : 0;
  svg.setAttribute("aria-label", `Faces in the last hour, at most ${top} at once; ${share} % of the time they smiled`);
  const axis = make("div", "axis");
  axis.append(make("span", "", clock(from).slice(0, 5)), make("span", "", `up to ${count(top, "face", "faces")} · ` +
    `${share} % smiling`), make("span", "", "now"));
  by("timeline").replaceChildren(svg, axis);
}

// ---- Events

function tell(event, isOld) {
  const key = `${event.camera} ${event.sequence}`;
  const known = TEXTS[event.event];
  if (!known || seen.has(key)) return;
  seen.add(key);
  if (seen.size > 2000) seen.clear();
  const item = make("li", event.event);
  const link = make("a", "", title(cameras.get(event.camera) ?? { name: event.camera }));
  link.href = `#/${event.camera}`;
  const mark = make("i", "mark", known[0]);
  mark.setAttribute("aria-hidden", "true");
  const time = make("time", "", clock(event.time));
  time.dateTime = new Date(event.time).toISOString();
  item.append(mark, link, time, make("span", "", `Face ${event.identity} ${known[1]}`));
  item.dataset.camera = event.camera;
  item.hidden = Boolean(shown) && shown !== event.camera;
  const feed = by("feed");
  feed.prepend(item);
  while (feed.children.length > FEED) feed.lastChild.remove();
  hint();
  if (!isOld && shown === event.camera) hour(shown);
}

function hint() {
  by("feed-empty").hidden = [...by("feed").children].some((item) => !item.hidden);
}

async function refresh() {
  const all = await ask("/api/cameras");
  by("instance").textContent = all.name;
  by("instances").replaceChildren(...all.instances.map(({ name, url }) => {
    const link = make("a", "", name);
    // Only addresses, whatever the configuration says.
    if (/^https?:/.test(url)) link.href = url;
    return link;
  }));
  const names = new Set(all.cameras.map((camera) => camera.name));
  for (const name of [...cameras.keys()]) if (!names.has(name)) forget(name);
  all.cameras.forEach((camera) => cameras.set(camera.name, camera));
  all.cameras.forEach(update);
  total();
  const past = await ask(`/api/history?events=${FEED}`);
  past.events.forEach((event) => tell(event, true));
  route();
}

function listen() {
  const source = new EventSource("/api/events");
  source.onopen = () => {
    by("link").hidden = true;
    refresh().catch(() => {});
  };
  source.onerror = () => (by("link").hidden = false);
  source.addEventListener("event", (message) => tell(JSON.parse(message.data)));
  source.addEventListener("camera", (message) => update(JSON.parse(message.data)));
  source.addEventListener("gone", (message) => forget(message.data));
  source.addEventListener("missed", () => refresh().catch(() => {}));
}

// ---- The page

function route() {
  const name = decodeURIComponent(location.hash.replace(/^#\/?/, ""));
  const camera = cameras.get(name);
  const next = camera ? name : null;
  const image = by("camera-picture");
  if (next !== shown) {
    shown = next;
    if (camera) {
      image.src = `/api/cameras/${name}/live.mjpg`;
      by("camera-csv").href = `/api/history.csv?camera=${name}&from=${Date.now() - 86400000}`;
      by("timeline").replaceChildren();
    } else {
      image.removeAttribute("src");
    }
    for (const item of by("feed").children) item.hidden = Boolean(shown) && shown !== item.dataset.camera;
    hint();
    scrollTo(0, 0);
  }
  by("wall-view").hidden = Boolean(shown);
  by("camera-view").hidden = !shown;
  document.title = camera ? `${title(camera)} – smile-serve` : "smile-serve";
  if (camera) {
    facts(camera);
    hour(name);
  }
  look();
}

function setTheme() {
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (isDark ? "dark" : "light");
  document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  localStorage.setItem("theme", document.documentElement.dataset.theme);
}

// Arrows go from tile to tile, Escape goes back to the wall.
function keys(event) {
  if (event.key === "Escape" && shown && !by("adder").open) location.hash = "#/";
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const all = [...by("wall").children];
  const at = all.indexOf(document.activeElement);
  if (step && at >= 0) all[at + step]?.focus();
}

async function add(event) {
  event.preventDefault();
  const body = JSON.stringify({ name: by("add-name").value, source: by("add-source").value });
  try {
    const headers = { "Content-Type": "application/json" };
    update(await ask("/api/cameras", { method: "POST", headers, body }));
    by("adder").close();
    by("adder").querySelector("form").reset();
  } catch (error) {
    by("add-error").textContent = error.message;
    by("add-error").hidden = false;
  }
}

async function remove() {
  const name = shown;
  if (!confirm(`Remove ${name}?`)) return;
  await ask(`/api/cameras/${name}`, { method: "DELETE" }).catch((error) => alert(error.message));
}

const theme = localStorage.getItem("theme");
if (theme) document.documentElement.dataset.theme = theme;
by("theme").onclick = setTheme;
by("add").onclick = () => {
  by("add-error").hidden = true;
  by("adder").showModal();
};
by("add-cancel").onclick = () => by("adder").close();
by("adder").querySelector("form").onsubmit = add;
by("camera-remove").onclick = remove;
addEventListener("hashchange", route);
addEventListener("keydown", keys);
document.addEventListener("visibilitychange", () => wall.restart());
setInterval(() => shown && hour(shown), 20000);
// Frames a second and such change without an event.
setInterval(() => document.hidden || (shown && ask(`/api/cameras/${shown}`).then(update).catch(() => {})), 3000);
listen();
