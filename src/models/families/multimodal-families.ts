import { audioLanguage } from './audio-language.ts'
import { deepseekVision } from './deepseek-vision.ts'
import { documentVision } from './document-vision.ts'
import type { Family } from './family.ts'
import { gemmaMultimodal } from './gemma-multimodal.ts'
import { llava } from './llava.ts'
import { mllamaText } from './mllama.ts'
import { moreVision } from './more-vision.ts'
import { phi4Multimodal } from './phi4-multimodal.ts'
import { queryTransformers } from './query-transformers.ts'
import { qwenOmni } from './qwen-omni.ts'
import { qwenVl } from './qwen-vl.ts'
import { remoteVision } from './remote-vision.ts'
import { visionEncoders } from './vision-encoders.ts'
import { visionLanguage } from './vision-language.ts'

/** Families of models that read more than text, in one list. */
export const multimodalFamilies: readonly Family[] = [
  ...audioLanguage,
  ...deepseekVision,
  ...documentVision,
  ...gemmaMultimodal,
  ...llava,
  mllamaText,
  ...moreVision,
  phi4Multimodal,
  ...queryTransformers,
  ...qwenOmni,
  ...qwenVl,
  ...remoteVision,
  ...visionEncoders,
  ...visionLanguage,
]
