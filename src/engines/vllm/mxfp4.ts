import type { WeightPart, WeightStorage } from '../../models/checkpoint/storage.ts'
import type { JsonObject } from '../../models/config.ts'
import type { Weight } from '../../models/shape.ts'

/** Multiples to which an expert's inner and outer widths are padded on load. */
interface Padding {
  readonly inner: number
  readonly hidden: number
}

/**
 * vLLM's mxfp4 kernels repack experts into padded matrices (layers/quantization/mxfp4.py): FlashInfer on Blackwell pads
 * both sides to 256, the Triton kernel of Hopper the inner width to 256, Marlin before it the inner to 128 and the outer
 * to 256. Logs agree within 0.4 %: gpt-oss-20b 13.47 GiB on H100 and 13.72 on A100, gpt-oss-120b 64.38 on H100, where
 * the checkpoints have 12.82 and 60.77.
 */
function padding(capability: number | null): Padding {
  if (capability !== null && capability >= 100) return { inner: 256, hidden: 256 }
  return (capability ?? 90) >= 90 ? { inner: 256, hidden: 1 } : { inner: 128, hidden: 256 }
}

const up = (width: number, multiple: number): number => Math.ceil(width / multiple) * multiple

/** The storage with mxfp4 experts padded as the card's kernel wants them; any other checkpoint as it is. */
export function loaded(storage: WeightStorage, config: JsonObject, capability: number | null): WeightStorage {
  const quantization = config['quantization_config']
  if (typeof quantization !== 'object' || quantization === null) return storage
  if ((quantization as JsonObject)['quant_method'] !== 'mxfp4') return storage
  const { inner, hidden } = padding(capability)
  const padded = (weight: Weight, part: WeightPart): WeightPart => {
    const out = up(part.out, weight.split === 'expert-column' ? inner : hidden)
    const width = up(part.in, weight.split === 'expert-row' ? inner : hidden)
    return { ...part, out, in: width, bias: part.bias === 0 ? 0 : out }
  }
  return {
    ...storage,
    scheme: `${storage.scheme}, experts padded to multiples of ${inner}${hidden > 1 ? ` x ${hidden}` : ''}`,
    bytes: (weight, part, path) =>
      storage.bytes(weight, weight.split.startsWith('expert') ? padded(weight, part) : part, path),
  }
}
