/** What a hostile file would change to change all objects. */
const SHARED: readonly object[] = [
  Object.prototype,
  Array.prototype,
  String.prototype,
  Function.prototype,
  Map.prototype,
  RegExp.prototype,
  Object,
  Array,
  globalThis,
];

/** Remembers the shared objects; the function returned says what of them has changed since, if anything has. */
export function globalChanges(): () => string | undefined {
  const before = SHARED.map((object) => Object.getOwnPropertyNames(object).length);
  const methods = Object.getOwnPropertyNames(Object.prototype).map(methodOf);
  return () => {
    const at = SHARED.findIndex((object, i) => Object.getOwnPropertyNames(object).length !== before[i]);
    if (at >= 0)
      return `a shared object has other properties: ${Object.getOwnPropertyNames(SHARED[at]).join(', ')}`;
    const changed = Object.getOwnPropertyNames(Object.prototype).find((name, i) => methodOf(name) !== methods[i]);
    return changed === undefined ? undefined : `Object.prototype.${changed} was replaced`;
  };
}

function methodOf(name: string): unknown {
  return Object.getOwnPropertyDescriptor(Object.prototype, name)?.value;
}
