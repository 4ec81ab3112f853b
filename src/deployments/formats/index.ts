import type { Format } from '../format.ts'
import { azureMl } from './azure-ml.ts'
import { bentoml } from './bentoml.ts'
import { ci } from './ci.ts'
import { compose } from './compose.ts'
import { dockerfile } from './dockerfile.ts'
import { dynamo } from './dynamo.ts'
import { engineConfig } from './engine-config.ts'
import { helmValues } from './helm-values.ts'
import { kaito } from './kaito.ts'
import { kserve } from './kserve.ts'
import { kubeai } from './kubeai.ts'
import { kubernetes } from './kubernetes.ts'
import { kustomize } from './kustomize.ts'
import { llamaSwap } from './llama-swap.ts'
import { llmD } from './llm-d.ts'
import { makefile } from './makefile.ts'
import { modal } from './modal.ts'
import { modelList } from './model-list.ts'
import { modelfile } from './modelfile.ts'
import { nimOperator } from './nim-operator.ts'
import { productionStack } from './production-stack.ts'
import { ray } from './ray.ts'
import { rayPython } from './ray-python.ts'
import { sagemaker } from './sagemaker.ts'
import { shell } from './shell.ts'
import { skypilot } from './skypilot.ts'
import { systemd } from './systemd.ts'
import { terraform } from './terraform.ts'
import { training } from './training.ts'
import { truss } from './truss.ts'

/** Every format, in order: the first document format that claims a document has it. */
export const formats: readonly Format[] = [
  kustomize,
  ray,
  kserve,
  kubeai,
  nimOperator,
  kaito,
  dynamo,
  productionStack,
  llmD,
  truss,
  azureMl,
  training,
  skypilot,
  compose,
  ci,
  llamaSwap,
  engineConfig,
  helmValues,
  kubernetes,
  shell,
  dockerfile,
  makefile,
  systemd,
  modal,
  sagemaker,
  modelfile,
  bentoml,
  modelList,
  rayPython,
  terraform,
]
