// Stands in a bundle for modules that its code never reaches (see build.mjs).
export {};
