// Draws portraits with DiceBear: one line of JSON each, {"style", "svg", "attributes"}, after one line with the
// licence of every style. Usage: node portraits.mjs SEED COUNT STYLE...
import { createAvatar } from '@dicebear/core';
import * as styles from '@dicebear/collection';

const [seed, count, ...names] = process.argv.slice(2);
const unknown = names.filter((name) => !styles[name]);
if (unknown.length) {
  console.error(`There is no style ${unknown.join(', ')}. There are: ${Object.keys(styles).join(', ')}.`);
  process.exit(1);
}
console.log(JSON.stringify(Object.fromEntries(names.map((name) => [name, styles[name].meta]))));
for (const style of names) {
  for (let number = 0; number < Number(count); number++) {
    const portrait = createAvatar(styles[style], { seed: `${seed}-${style}-${number}` });
    const { svg, extra } = portrait.toJson();
    console.log(JSON.stringify({ style, svg, attributes: extra }));
  }
}
