// AdamW as a subject of `refgrad judge`: refgrad judge node --arg adamw.js --as AdamW
// Arrays cross as base64 of float32. With a further argument "coupled" it is wrong: weight decay goes into the gradient.
const readline = require("readline");

const coupled = process.argv[2] === "coupled";
const names = ["p", "g", "m", "v"];

// a number: "0x1.8p+0"
function fromHex(text) {
  const [, sign, whole, fraction, exponent] = /^(-?)0x([01])\.?([0-9a-f]*)p([+-]\d+)$/.exec(text);
  const bits = whole + fraction;
  return (sign ? -1 : 1) * parseInt(bits, 16) * 2 ** (Number(exponent) - 4 * fraction.length);
}

function fromBase64(array) {
  const bytes = Buffer.from(array.base64, "base64");
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

function toBase64(values, like) {
  return { shape: like.shape, base64: Buffer.from(values.buffer).toString("base64") };
}

function step(asked) {
  const [p, g, m, v] = names.map((name) => fromBase64(asked.arrays[name]));
  const [t, lr, beta1, beta2, eps, decay] = ["t", "lr", "beta1", "beta2", "eps", "weight_decay"].map((name) =>
    fromHex(asked.numbers[name])
  );
  const f = Math.fround;
  const [c1, c2] = [1 - beta1 ** t, 1 - beta2 ** t].map(f);
  for (let i = 0; i < p.length; i++) {
    const grad = coupled ? f(g[i] + f(f(decay) * p[i])) : g[i];
    m[i] = f(f(f(beta1) * m[i]) + f(f(1 - beta1) * grad));
    v[i] = f(f(f(beta2) * v[i]) + f(f(f(1 - beta2) * grad) * grad));
    const moved = f(f(m[i] / c1) / f(f(Math.sqrt(f(v[i] / c2))) + f(eps)));
    p[i] = f(p[i] - f(f(lr) * f(moved + (coupled ? 0 : f(f(decay) * p[i])))));
  }
  const given = { p, m, v };
  return Object.fromEntries(Object.entries(given).map(([name, values]) => [name, toBase64(values, asked.arrays[name])]));
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const asked = JSON.parse(line);
  const answer =
    asked.ask === "hello"
      ? {
          refgrad: 1, name: "adamw.js", rules: ["AdamW"], dtypes: ["float32"], encoding: "base64",
          takes: [...names, "t", "lr", "beta1", "beta2", "eps", "weight_decay"], gives: ["p", "m", "v"],
        }
      : { id: asked.id, arrays: step(asked) };
  process.stdout.write(JSON.stringify(answer) + "\n");
});
