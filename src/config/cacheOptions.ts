import { Type } from '@sinclair/typebox';

/** Outputs of frozen layers that are kept; a part of `training`. */
export const CACHE_OPTIONS = {
  cache_frozen_layers: Type.Boolean({
    default: false,
    description:
      'Compute the layers below the lowest one that trains once for each row, before the first step, and keep their outputs: in later epochs and evaluations they are not computed anew. For `last_layers`, and other methods that leave the first layers alone.',
  }),
  cache_memory_mib: Type.Integer({
    minimum: 0,
    default: 1024,
    description:
      'Outputs of `cache_frozen_layers` are kept in memory up to so many MiB; larger ones lie in a file of the run’s folder while it runs.',
  }),
} as const;
