/* Values as text, and elements that hold it. Whatever an agent said passes through here. */

export const UNKNOWN = "–";
export const TEXTS = new Set(["text", "id", "word", "flag"]);
const LONGEST = 240; // characters of one value
const LAST_MOMENT_S = 8.64e12; // of what the browser's calendar knows
// eslint-disable-next-line no-control-regex
const INVISIBLE = /[\u0000-\u001f\u007f]|[\p{Cf}\p{Cc}\p{Co}\p{Cs}\u2028\u2029]/gu;

/** Like html.py's visible_text: nothing invisible, nothing that reorders, nothing endless. */
export function visibleText(value, longest = LONGEST) {
  const text = String(value);
  const clipped = text.length > longest ? text.slice(0, longest) : text;
  const shown = clipped.replace(INVISIBLE, (character) => {
    const code = character.codePointAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    if (code === 0x7f) return "␡";
    if (code === 0x200c || code === 0x200d) return character;
    return `‹U+${code.toString(16).toUpperCase().padStart(4, "0")}›`;
  });
  return text.length > longest ? `${shown}…` : shown;
}

const formats = new Map();

function decimals(digits) {
  if (!formats.has(digits)) {
    const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    formats.set(digits, new Intl.NumberFormat("en-US", options));
  }
  return formats.get(digits);
}

/** A count of things, in a sentence. */
export function countText(count) {
  return decimals(0).format(count);
}

export function ageText(seconds) {
  const s = Math.max(Math.floor(seconds), 0);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")}`;
  return `${Math.floor(s / 86400)} d`;
}

export function leftText(seconds) {
  const s = Math.max(Math.ceil(seconds), 0);
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}

function timeText(seconds) {
  if (typeof seconds !== "number" || Math.abs(seconds) > LAST_MOMENT_S) return visibleText(seconds);
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");
}

export function cellText(column, value, elapsed) {
  if (value === null || value === undefined) return UNKNOWN;
  switch (column.kind) {
    case "number":
    case "money":
      return decimals(column.digits ?? 2).format(value).replace(/^-([0.,]*)$/, "$1");
    case "count":
      return decimals(0).format(value);
    case "age":
      return ageText(elapsed - value);
    case "time":
      return timeText(value);
    case "flag":
      return value ? "yes" : "no";
    case "spark":
      return "";
    default:
      return visibleText(value);
  }
}

export function make(tag, name, parent) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (parent) parent.append(element);
  return element;
}

/** Set a text only where it differs, or a screen reader would say it again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
