// Writes media/run-file.schema.json from the schema in the code: `node --import tsx src/config/writeSchema.ts`.
// A test fails when the file and the code have drifted apart.
import { fileURLToPath } from 'node:url';
import { writeFileWhole } from '../common/files.js';
import { runFileJsonSchema } from './jsonSchema.js';

const target = new URL('../../media/run-file.schema.json', import.meta.url);
await writeFileWhole(fileURLToPath(target), `${JSON.stringify(runFileJsonSchema(), null, 2)}\n`);
