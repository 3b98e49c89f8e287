/* The filter's little language: words, column:text, comparisons, quotes, a minus; all must hold. */

import { TEXTS, cellText, visibleText } from "./text.js";

const TERM = /(-)?(?:([\p{L}_][\p{L}\p{N}_.%]*)(:|<=|>=|<|>|=)("[^"]*"?|\S*)|("[^"]*"?|\S+))/gu;

/** Parse a filter: a test of (row, slot, elapsed), or a sentence that says what is wrong. */
export function parseFilter(text, rows) {
  const { columns } = rows.spec;
  const known = columnNames(columns);
  const tests = [];
  let counts = false; // what passes changes with time alone
  for (const [, minus, name, operator, given, bare] of text.matchAll(TERM)) {
    const wanted = (given ?? bare).replaceAll('"', "").toLowerCase();
    const place = name === undefined ? undefined : known.get(name.toLowerCase());
    if (name !== undefined && place === undefined) {
      const names = columns.map((column) => column.name).join(", ");
      return { hint: `There is no column “${visibleText(name, 40)}”. Columns: ${names}.` };
    }
    const isBegun = bare === "-" || (!wanted && (operator === undefined || operator === ":"));
    if (isBegun) continue; // the rest is not typed yet
    const test = place === undefined
      ? (row, slot) => rows.haystack(slot).includes(wanted)
      : columnTest(columns[place], place, operator, wanted);
    if (typeof test === "string") return { hint: test };
    counts ||= place !== undefined && columns[place].kind === "age";
    tests.push(minus ? (...row) => !test(...row) : test);
  }
  return { counts, test: tests.length ? (...row) => tests.every((each) => each(...row)) : null };
}

function columnNames(columns) {
  const known = new Map();
  columns.forEach((column, place) => {
    known.set(column.label.toLowerCase(), place);
    known.set(column.label.toLowerCase().replaceAll(" ", "_"), place);
  });
  columns.forEach((column, place) => known.set(column.name.toLowerCase(), place));
  return known;
}

function columnTest(column, place, operator, wanted) {
  if (operator === ":") {
    return (row, slot, elapsed) => cellText(column, row[place], elapsed).toLowerCase().includes(wanted);
  }
  if (operator === "=" && TEXTS.has(column.kind) && column.kind !== "id") {
    return (row) => cellText(column, row[place], 0).toLowerCase() === wanted;
  }
  const number = Number(wanted.replaceAll(",", ""));
  if (wanted === "" || Number.isNaN(number)) {
    return `“${visibleText(column.name)}${operator}” needs a number, such as ${column.name}${operator}100.`;
  }
  const compare = {
    "<": (value) => value < number,
    ">": (value) => value > number,
    "<=": (value) => value <= number,
    ">=": (value) => value >= number,
    "=": (value) => value === number,
  }[operator];
  if (column.kind === "age") {
    return (row, slot, elapsed) => row[place] !== null && compare(elapsed - row[place]);
  }
  return (row) => typeof row[place] === "number" && compare(row[place]);
}
