import { Environment, Interpreter } from '@huggingface/jinja';
import * as l10n from '@vscode/l10n';
import { templateGrowth } from './templateGrowth.js';
import type { TemplateValue } from './templateGrowth.js';
import { TemplateStop } from './templateStop.js';

/** Statements and expressions evaluated in one rendering; a long conversation takes some 10,000. */
const MAX_STEPS = 5_000_000;

/** What is used of the library: its own declarations do not resolve under Node's module rules. */
export interface TemplateScope {
  set(name: string, value: unknown): void;
}
interface Evaluator {
  run(program: unknown): TemplateValue;
  evaluate(statement: unknown, scope: TemplateScope): TemplateValue | undefined;
}
const makeScope: new () => TemplateScope = Environment;
const makeEvaluator: new (scope: TemplateScope) => Evaluator = Interpreter;

/** A node of the parsed template, as far as it is looked at here. */
interface Node {
  readonly type: string;
  readonly [part: string]: unknown;
}

/** Stands in the tree for what was evaluated already. */
class Evaluated {
  readonly type = 'Evaluated';
  constructor(readonly result: TemplateValue) {}
}

/** Whether it gives a value that is there already: a name or a part, but not a slice. */
function isLookUp({ type, property }: Node): boolean {
  return (
    type === 'Identifier' ||
    (type === 'MemberExpression' && isNode(property) && property.type !== 'SliceExpression')
  );
}

/** Runs a parsed template on variables. Throws {@link TemplateStop} where it takes too many steps or grows too much. */
export function evaluateTemplate(program: unknown, variables: Readonly<Record<string, unknown>>): string {
  const scope = new makeScope();
  for (const [name, value] of Object.entries(variables)) scope.set(name, value);
  return String(limitedEvaluator(scope).run(program).value);
}

/**
 * Counts what is evaluated and bounds what comes out: every statement and expression passes `evaluate`. Operands and
 * arguments of what can multiply its input are evaluated first, so that the result is bounded before it is made.
 */
function limitedEvaluator(scope: TemplateScope): Evaluator {
  const evaluator = new makeEvaluator(scope);
  const evaluate = evaluator.evaluate.bind(evaluator);
  const growth = templateGrowth();
  let steps = 0;

  const result = (node: unknown, inner: TemplateScope): TemplateValue => {
    const found = evaluator.evaluate(node, inner);
    if (found === undefined) throw new Error('there is no such item');
    return found;
  };
  const argumentsOf = (nodes: unknown, inner: TemplateScope) => {
    const positional: TemplateValue[] = [];
    const keywords = new Map<string, TemplateValue>();
    const ready = (Array.isArray(nodes) ? nodes : []).map((argument: unknown) => {
      if (!isNode(argument)) return argument;
      switch (argument.type) {
        case 'KeywordArgumentExpression': {
          const value = result(argument['value'], inner);
          keywords.set(isNode(argument['key']) ? String(argument['key']['value']) : '', value);
          return { ...argument, value: new Evaluated(value) };
        }
        case 'SpreadExpression':
        case 'KeywordSpreadExpression': {
          const spread = result(argument['argument'], inner);
          if (Array.isArray(spread.value)) positional.push(...(spread.value as TemplateValue[]));
          if (spread.value instanceof Map) {
            for (const [key, value] of spread.value as Map<string, TemplateValue>) keywords.set(key, value);
          }
          return { ...argument, argument: new Evaluated(spread) };
        }
        default: {
          const value = result(argument, inner);
          positional.push(value);
          // Some filters ask for literals.
          return argument.type === 'StringLiteral' ? argument : new Evaluated(value);
        }
      }
    });
    return { ready, positional, keywords };
  };
  const filtered = (node: Node, operandNode: unknown, inner: TemplateScope): unknown => {
    const operand = result(operandNode, inner);
    const filter = isNode(node['filter']) ? node['filter'] : undefined;
    const called = filter?.type === 'CallExpression' ? filter : undefined;
    const { ready, ...given } = argumentsOf(called?.['args'], inner);
    const name =
      called === undefined ? filter?.['value'] : isNode(called['callee']) ? called['callee']['value'] : '';
    growth.checkCall(String(name), operand, given);
    return {
      type: 'FilterExpression',
      operand: new Evaluated(operand),
      filter: called === undefined ? filter : { ...called, args: ready },
    };
  };
  const prepared = (node: Node, inner: TemplateScope): unknown => {
    if (node.type === 'FilterExpression') return filtered(node, node['operand'], inner);
    if (node.type === 'FilterStatement') return filtered(node, { type: 'Program', body: node['body'] }, inner);
    const { callee } = node;
    if (node.type !== 'CallExpression' || !isNode(callee) || callee.type !== 'MemberExpression') return node;
    const object = result(callee['object'], inner);
    const property =
      callee['computed'] === true ? new Evaluated(result(callee['property'], inner)) : callee['property'];
    const method = property instanceof Evaluated ? property.result.value : isNode(property) && property['value'];
    const { ready, ...given } = argumentsOf(node['args'], inner);
    growth.checkCall(String(method), object, given);
    return { ...node, callee: { ...callee, object: new Evaluated(object), property }, args: ready };
  };

  evaluator.evaluate = (statement, inner) => {
    if (statement instanceof Evaluated) return statement.result;
    if (++steps > MAX_STEPS) {
      throw new TemplateStop('template.limit', l10n.t`it did not end within ${MAX_STEPS} steps`);
    }
    if (!isNode(statement)) return evaluate(statement, inner);
    const value = evaluate(prepared(statement, inner), inner);
    if (value !== undefined && !isLookUp(statement)) growth.checkMade(value);
    return value;
  };
  return evaluator;
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}
