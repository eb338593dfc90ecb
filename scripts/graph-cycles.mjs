/**
 * The cycles of a directed graph: one for each strongly connected component (Tarjan, SIAM J. Comput. 1972), as a path
 * that ends where it began. Targets that are no node of the graph are ignored.
 * @param {Map<string, string[]>} edges
 * @returns {string[][]}
 */
export function findCycles(edges) {
  const order = new Map();
  const lowest = new Map();
  const stack = [];
  const onStack = new Set();
  const cycles = [];

  const visit = (node) => {
    order.set(node, order.size);
    lowest.set(node, order.get(node));
    stack.push(node);
    onStack.add(node);
    for (const next of edges.get(node) ?? []) {
      if (!edges.has(next)) continue;
      if (!order.has(next)) {
        visit(next);
        lowest.set(node, Math.min(lowest.get(node), lowest.get(next)));
      } else if (onStack.has(next)) lowest.set(node, Math.min(lowest.get(node), order.get(next)));
    }
    if (lowest.get(node) !== order.get(node)) return;
    const component = stack.splice(stack.indexOf(node));
    for (const member of component) onStack.delete(member);
    if (component.length > 1 || (edges.get(node) ?? []).includes(node))
      cycles.push(pathThrough(node, component, edges));
  };
  for (const node of edges.keys()) if (!order.has(node)) visit(node);
  return cycles;
}

/** The shortest way from `start` back to itself within its component. */
function pathThrough(start, component, edges) {
  const members = new Set(component);
  const cameFrom = new Map();
  const queue = [start];
  for (const node of queue) {
    for (const next of edges.get(node) ?? []) {
      if (next === start) {
        const path = [start];
        for (let at = node; at !== start; at = cameFrom.get(at)) path.unshift(at);
        return [start, ...path];
      }
      if (members.has(next) && !cameFrom.has(next)) {
        cameFrom.set(next, node);
        queue.push(next);
      }
    }
  }
  throw new Error(`${start} lies on no cycle`);
}
