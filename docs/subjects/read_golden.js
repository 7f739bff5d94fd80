// Reads golden files of a quantizer, an estimator and a mask, judges what it computes itself, and says what a wrong one is:
//   node read_golden.js golden/smoke Affine | ClippedSTE | Magnitude [wrong]
// With "wrong" the quantizer has codes without a sign, the estimator takes zero for negative, the mask keeps one weight less.
const fs = require("fs");
const [folder, name, mode] = process.argv.slice(2);
const wrong = mode === "wrong";
const document = JSON.parse(fs.readFileSync(`${folder}/${name}.json`, "utf8"));
const notes = JSON.parse(fs.readFileSync(`${folder}/manifest.json`, "utf8")).notes;
const file = fs.readFileSync(`${folder}/${name}.safetensors`);
const length = Number(file.readBigUInt64LE(0));
const header = JSON.parse(file.toString("utf8", 8, 8 + length));

// an array of a case in float32 or float64 as numbers; none if the case has it not
function tensor(number, own) {
  const key = document.cases[number].shared?.[own] ?? `${number}/${own}`; // what cases share is there once
  if (!header[key]) return [];
  const [start, end] = header[key].data_offsets.map((at) => at + 8 + length);
  const bytes = file.buffer.slice(file.byteOffset + start, file.byteOffset + end);
  return Array.from(header[key].dtype === "F64" ? new Float64Array(bytes) : new Float32Array(bytes));
}

function fromHex(text) {
  const [, sign, whole, fraction, exponent] = /^(-?)0x([01])\.?([0-9a-f]*)p([+-]\d+)$/.exec(text);
  return (sign ? -1 : 1) * parseInt(whole + fraction, 16) * 2 ** (Number(exponent) - 4 * fraction.length);
}

const f = Math.fround;
const even = (x) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));
const rules = {
  Affine({ x }, { bits, smallest_scale }) {
    const [lowest, highest] = wrong ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
    const code = (v) => (Number.isNaN(v) ? lowest : Math.min(Math.max(v, lowest), highest)); // nan_code=lowest
    const [low, high] = [Math.min(0, ...x), Math.max(0, ...x)]; // NaN, where one is in x
    const scale = Math.max(f(f(high - low) / (2 ** bits - 1)), fromHex(smallest_scale)) || (x.some(Number.isNaN) ? NaN : 1);
    const zero = code(lowest - even(f(low / scale)));
    const codes = x.map((v) => code(even(f(v / scale)) + zero));
    return { scale: [scale], zero_point: [zero], codes, y: codes.map((c) => f((c - zero) * scale)) };
  },
  ClippedSTE({ x, cotangent }, settings) {
    const clip = f(fromHex(settings.clip));
    const positive = (v) => (wrong ? v > 0 : v >= 0);
    return {
      y: x.map((v) => (Number.isNaN(v) ? NaN : positive(v) ? 1 : -1)),
      x_grad: x.map((v, i) => (Math.abs(v) <= clip ? cotangent[i] : 0)),
    };
  },
  Magnitude({ w }, settings) {
    const scores = w.map(Math.abs);
    const kept = w.length - even(fromHex(settings.sparsity) * w.length) - (wrong ? 1 : 0);
    const rank = (i) => (Number.isNaN(scores[i]) ? Infinity : scores[i]); // NaN is the largest
    const order = [...w.keys()].sort((i, j) => (rank(i) === rank(j) ? i - j : rank(j) - rank(i)));
    return { scores, mask: w.map((_, i) => (order.indexOf(i) < kept ? 1 : 0)) };
  },
};

const same = (a, b) => a === b || (Number.isNaN(a) && Number.isNaN(b));
const within = (x, low, high, any) =>
  (x >= low && x <= high) || (Number.isNaN(x) && (any || Number.isNaN(low) || (low === high && Math.abs(low) === Infinity)));

// how many numbers of an output are outside: its sets where what it is given is the file's, the wide one where it is not
function outside(number, one, output, results) {
  const mine = results[output.name];
  const given = output.given.map((n) => tensor(number, `reference/${n}`).map((r, i) => same(r, results[n][i])));
  const sets = tensor(number, `set/${output.name}`);
  const wide = tensor(number, `wide/${output.name}`);
  return mine.filter((x, i) => {
    const narrow = given.every((alike) => (one.whole ? alike.every(Boolean) : alike[i]));
    if (!narrow && !output.wide) return false; // nothing is said
    const ends = narrow ? sets : wide;
    const ways = narrow ? output.ways : 1;
    const at = (way) => [ends[2 * way * mine.length + i], ends[(2 * way + 1) * mine.length + i]];
    return ![...Array(ways).keys()].some((way) => within(x, ...at(way), one.policy.nan === "right"));
  }).length;
}

document.cases.forEach((one, number) => {
  if (one.variant || one.dtype !== "float32") return;
  const inputs = Object.fromEntries(one.inputs.map((n) => [n, tensor(number, `in/${n}`)]));
  const results = rules[name](inputs, one.hyperparameters);
  const found = one.outputs.map((output) => outside(number, one, output, results));
  console.log(`${one.id}: ${found.reduce((a, b) => a + b, 0)} outside`);
  for (const each of document.wrong.filter((w) => w.case === one.id)) {
    const alike = each.at.every((at, i) => Math.abs(results[each.output][at] - fromHex(each.value[i])) <= 1e-6 * Math.abs(fromHex(each.value[i])));
    if (alike) console.log(`  ${each.flag} (${notes[each.flag].bug}): ${each.name}`);
  }
});
