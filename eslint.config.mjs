import tseslint from 'typescript-eslint';
import { roomOrder } from './tools/roomOrder.mjs';
import { translatedTexts } from './tools/translatedTexts.mjs';

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', 'runs/', 'examples/**/runs/', '.vscode-test/'] },
  ...tseslint.configs.recommended,
  {
    plugins: { studio: { rules: { 'room-order': roomOrder, 'translated-texts': translatedTexts } } },
    rules: {
      'studio/room-order': 'error',
      'studio/translated-texts': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/no-redeclare': 'off',
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportDefaultDeclaration', message: 'No default exports: names stay the same everywhere.' },
        { selector: 'ExportAllDeclaration', message: 'No barrel files: import from where it is defined.' },
      ],
    },
  },
  { files: ['*.mjs', 'tools/**', 'test/**/*.mjs', 'build.mjs'], rules: { 'no-restricted-syntax': 'off' } },
  {
    files: ['**/*.mjs', 'test/**', 'bench/**', 'examples/**'],
    rules: { '@typescript-eslint/explicit-module-boundary-types': 'off' },
  },
);
