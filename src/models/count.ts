import { elements, total } from './blocks/weights.ts'
import type { LayerStack, ModelShape, Weight } from './shape.ts'

/** Elements of all layers of a stack. */
export function stackTotal(stack: LayerStack): number {
  const perKind = stack.kinds.map(kind => total(kind.weights))
  return stack.order.reduce((sum, kind) => sum + perKind[kind]!, 0)
}

/** Every weight of the model with how often it occurs (all but multi-token-prediction layers). */
export function allWeights(
  shape: ModelShape,
): { readonly weight: Weight; readonly times: number; readonly block: string }[] {
  const list: { weight: Weight; times: number; block: string }[] = []
  const add = (weights: readonly Weight[], times: number, block: string) => {
    for (const weight of weights) list.push({ weight, times, block })
  }
  const addStack = (stack: LayerStack, block: string) => {
    const times = stack.kinds.map(() => 0)
    for (const kind of stack.order) times[kind]!++
    stack.kinds.forEach((kind, i) => {
      add(kind.weights, times[i]!, `${block} ${kind.name}`)
    })
  }
  add(shape.embedding, 1, 'embedding')
  addStack(shape.layers, 'layers')
  add(shape.final, 1, 'final')
  for (const tower of shape.towers) {
    add(tower.weights, 1, tower.name)
    addStack(tower.stack, tower.name)
  }
  return list
}

/** Distinct weights, without buffers and multi-token-prediction layers (`model.parameters` of the report). */
export function parameterCount(shape: ModelShape): number {
  return allWeights(shape).reduce((sum, { weight, times }) => sum + times * elements(weight), 0)
}

/** Parameters one token touches: of routed experts only the chosen ones. Equal to the count for dense models. */
export function activeParameterCount(shape: ModelShape): number {
  return allWeights(shape).reduce((sum, { weight, times }) => {
    const share = weight.active === undefined ? 1 : weight.active / weight.copies
    return sum + times * Math.round(elements(weight) * share)
  }, 0)
}
