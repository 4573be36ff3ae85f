import { Type } from '@sinclair/typebox';
import type { Static } from '@sinclair/typebox';

export const FullOptions = Type.Object({ type: Type.Literal('full') }, { additionalProperties: false });
export type FullOptions = Static<typeof FullOptions>;
