import type { Rule } from 'eslint';

export const ROOMS: readonly (readonly string[])[];
export const roomOrder: Rule.RuleModule;
