/* The order of rows: by a column, what is not known last, equals as they were. */

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

export function sortSlots(slots, rows, place, descending) {
  const { kind } = rows.spec.columns[place];
  const rank = new Float64Array(rows.keys.length);
  const values = slots.map((slot) => rows.rows[slot][place]);
  const isNumeric = values.every((value) => value === null || typeof value !== "string");
  const sign = descending ? -1 : 1;
  if (isNumeric) {
    const flip = kind === "age" ? -sign : sign; // the oldest was born first
    slots.forEach((slot, i) => {
      const value = Array.isArray(values[i]) ? values[i].at(-1) ?? null : values[i];
      rank[slot] = value === null ? Infinity : flip * Number(value);
    });
  } else {
    const words = [...new Set(values.filter((value) => value !== null).map(String))];
    words.sort(collator.compare);
    const places = new Map(words.map((word, i) => [word, i]));
    slots.forEach((slot, i) => {
      rank[slot] = values[i] === null ? Infinity : sign * places.get(String(values[i]));
    });
  }
  return slots.sort((a, b) => (rank[a] === rank[b] ? 0 : rank[a] - rank[b]));
}
