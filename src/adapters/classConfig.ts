import type { JsonObject } from '../common/json.js';
import type { ClassHead } from '../models/architecture.js';

/** A model's `config.json` with the classes that its head tells apart, as Transformers has them. */
export function withClasses(config: JsonObject, classes: ClassHead | undefined): JsonObject {
  if (classes === undefined) return config;
  return {
    // Their number would contradict the names.
    ...Object.fromEntries(Object.entries(config).filter(([key]) => key !== 'num_labels')),
    architectures: [classes.transformersClass],
    id2label: Object.fromEntries(classes.labels.map((label, at) => [String(at), label])),
    label2id: Object.fromEntries(classes.labels.map((label, at) => [label, at])),
  };
}
