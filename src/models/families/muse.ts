import { attentionWeights, keyValueHeads } from '../blocks/attention.ts'
import { gatedFeedForward } from '../blocks/feed-forward.ts'
import { mixtureWeights } from '../blocks/mixture.ts'
import { column, conv, norm, positionEmbedding, replicated, row, vector } from '../blocks/weights.ts'
import type { Config } from '../config.ts'
import type { Weight } from '../shape.ts'
import { alternatingWindows, attentionCache, type Dims, decoder } from './decoder.ts'
import { type Family, layerKinds, noLayers, usual } from './family.ts'
import { densePart, feedPart, type Layered, type LayeredType, layered, type Part, sizesOf } from './layered.ts'
import { attentionWithFlag, layerNorms, norms } from './llama.ts'
import { type Multimodal, type MultimodalType, multimodal, projector, tower } from './multimodal.ts'
import { type Encoder, plainEncoder } from './towers.ts'
import { patchMatrix, throughInner } from './vision-parts.ts'

/** Gate on the attention's output, as wide as its heads. */
const outputGate = (d: Pick<Dims, 'heads' | 'headDim' | 'hidden'>): Weight =>
  column('self_attn.gate_proj', d.heads * d.headDim, d.hidden)

/** Muse Spark: gated attention, experts of their own width between two projections, gated residuals. */
function museSpark(config: Config): Layered {
  const d = sizesOf(config)
  const { hidden, layers } = d
  const bias = config.flag('attention_bias')
  const windows = alternatingWindows(d, i => (layers - 1 - i) % 4 === 0)
  const inner = config.size('moe_hidden_size')
  const experts = config.size('num_local_experts')
  const kinds = layerKinds(config, layers, 'mlp_layer_types')
  const width = config.size('intermediate_size')
  const mixer = (window: number | null): Part => ({
    name: window === null ? 'full' : `sliding ${window}`,
    weights: () => [
      ...attentionWeights({ ...d, qkvBias: bias, outBias: bias }),
      outputGate(d),
      norm('input_layernorm', hidden),
      norm('post_feedforward_layernorm', hidden),
      vector('post_attention_residual_gate.gate', hidden),
      vector('post_feedforward_residual_gate.gate', hidden),
    ],
    cache: [attentionCache(window, keyValueHeads(d))],
  })
  const moe = feedPart('moe', d, () => [
    ...mixtureWeights({
      hidden,
      width: config.size('moe_intermediate_size'),
      experts,
      perToken: config.sizeOrNull('num_experts_per_tok'),
      expertHidden: inner,
    }),
    replicated('mlp.pre_expert_proj', inner, hidden),
    norm('mlp.pre_expert_norm', inner),
    norm('mlp.experts.post_expert_norm', inner),
    replicated('mlp.post_expert_proj', hidden, inner),
  ])
  const dense = densePart(d, width)
  return {
    sizes: d,
    layer: i => [mixer(windows[i] ?? null), kinds && kinds[i] !== 'sparse' ? dense : moe],
    tied: false,
    intermediate: width,
    experts,
    expertsPerToken: config.sizeOrNull('num_experts_per_tok'),
  }
}

/** Muse's tower: positions of a grid, LayerNorms before and after. */
function museVisual(file: Config): Encoder {
  const config = file.with(
    usual({
      patch_size: 14,
      pos_emb_height: 32,
      pos_emb_width: 32,
      heads: 16,
      layers: 50,
      hidden: 1536,
      width: 8960,
      patch_temporal: 2,
    }),
  )
  const hidden = config.size('hidden_size')
  const positions = config.size('pos_emb_height') * config.size('pos_emb_width')
  return plainEncoder(
    config,
    [
      patchMatrix('patch_embedder.patch_embedding', config, hidden, config.size('patch_temporal'), 3),
      positionEmbedding(positions, hidden, 'patch_embedder.position_embedding_table'),
      norm('ln_pre', hidden, true),
      norm('ln_post', hidden, true),
    ],
    {
      hidden,
      width: config.size('intermediate_size'),
      norms: ['norm1', 'norm2'],
      names: { attention: 'attn', out: 'proj' },
    },
  )
}

/** Tower and adapter of Muse: two matrices to the adapter's width, a third to the language model's. */
const museVision = (m: Multimodal) => {
  const inner = m.config.size('projector_hidden_size')
  return [
    tower('vision_tower', 'vision', museVisual(m.part('vision_config'))),
    projector(
      [
        ...throughInner(m.config.size('out_hidden_size'), inner, inner, false),
        replicated('vision_projection', m.hidden, inner),
      ],
      'vision_adapter',
    ),
  ]
}

/** Muse Spark's ears: stages of patches, each with convolution blocks, and a projection to the language model. */
function museAudio(file: Config, out: number): Encoder {
  const config = file.with({
    patch_sizes: [16, 6, 5, 4],
    hidden_sizes: [256, 512, 1024, 2048],
    depths: [2, 2, 2, 2],
    mlp_ratio: 4,
    conv_kernel_size: 7,
  })
  const sizes = (name: string): number[] =>
    (config.list(name) ?? []).map(size =>
      Number.isSafeInteger(size) && (size as number) >= 1 && (size as number) <= 2 ** 20
        ? (size as number)
        : config.invalid(name, 'holds something else than whole numbers of at least 1'),
    )
  const [patches, widths, depths] = [sizes('patch_sizes'), sizes('hidden_sizes'), sizes('depths')]
  const kernel = config.size('conv_kernel_size')
  const last = widths.at(-1)
  if (last === undefined) return config.invalid('hidden_sizes', 'is empty')
  const stages = widths.flatMap((width, i) => {
    const inner = config.multiple('mlp_ratio', width)
    const block = [
      conv(`layers.${i}.conv_blocks.conv`, width, kernel, true),
      norm(`layers.${i}.conv_blocks.norm`, width),
      column(`layers.${i}.conv_blocks.mlp.fc1`, inner, width, { bias: true }),
      row(`layers.${i}.conv_blocks.mlp.fc2`, width, inner, { bias: true }),
    ]
    return [
      replicated(`layers.${i}.patch_embedder.proj`, width, (widths[i - 1] ?? 1) * (patches[i] ?? 1), { bias: true }),
      norm(`layers.${i}.patch_embedder.norm`, width),
      ...block.map(weight => ({ ...weight, copies: depths[i] ?? 1 })),
    ]
  })
  return {
    weights: [
      ...stages,
      norm('norm', last),
      replicated('proj', out, last, { bias: true }),
      norm('post_proj_norm', out),
    ],
    stack: noLayers,
    heads: null,
    width: out,
  }
}

const spark: LayeredType = {
  type: 'muse_spark_text',
  defaults: usual({
    vocab: 202048,
    hidden: 8192,
    width: 16384,
    layers: 62,
    heads: 128,
    kvHeads: 16,
    head_dim: 64,
    context: 1048576,
    sliding_window: 2048,
    moe_intermediate_size: 4096,
    num_local_experts: 256,
    num_experts_per_tok: 8,
    moe_hidden_size: 4096,
  }),
  read: museSpark,
}

const types: readonly MultimodalType[] = [
  {
    type: 'muse_glimmer',
    defaults: { out_hidden_size: 6144, projector_hidden_size: 4096 },
    text: { type: 'muse_glimmer_text' },
    towers: museVision,
  },
  {
    type: 'muse_spark',
    defaults: { out_hidden_size: 6144, projector_hidden_size: 4096 },
    text: { type: 'muse_spark_text' },
    tie: 'never',
    towers: m => [...museVision(m), tower('audio_tower', 'audio', museAudio(m.part('audio_config'), m.hidden))],
  },
]

export const muse: readonly Family[] = [
  layered(spark),
  decoder({
    type: 'muse_glimmer_text',
    defaults: usual({
      vocab: 202048,
      hidden: 6656,
      width: 19968,
      layers: 52,
      heads: 32,
      kvHeads: 2,
      head_dim: 128,
      context: 131072,
      sliding_window: 2048,
    }),
    windows: d => alternatingWindows(d, i => i % 4 === 3),
    layer: d => [
      ...attentionWithFlag(d),
      outputGate(d),
      ...gatedFeedForward(d.hidden, d.width),
      ...layerNorms(d),
      ...norms(d, ['pre_feedforward_layernorm', 'post_feedforward_layernorm']),
    ],
  }),
  ...types.map(multimodal),
]
