import type { Quantisation } from "../browser/calls.js";
import type { RepoFile } from "../wire.js";

/** A single file, or all parts of a split file. */
export interface FileGroup {
  /** The path without the part number of a split file. */
  name: string;
  /** `Q4_K_M`, `BF16` and so on; null when it is no GGUF quantisation. */
  quantisation: string | null;
  /** The quantisation to take if you have no reason for another one. */
  recommended: boolean;
  /** A projector (`mmproj`): lets a GGUF model read images, beside one of its quantisations. */
  projector: boolean;
  files: readonly RepoFile[];
  /** Null while a part's size is unknown. */
  size: number | null;
}

// llama.cpp's names; a split file's parts are numbered -00001-of-00003.
const QUANTISATION =
  /(?:^|[-_./])((?:UD-)?(?:IQ[1-8]|TQ[12]|Q[1-8])(?:_[0-9A-Z]+)*|BF16|F16|F32|FP16|FP32|MXFP4(?:_[A-Z]+)?)(?=[-_./]|$)/i;
const PART = /-\d{5}-of-(\d{5})(?=\.[^./]+$)/;
const PROJECTOR = /mmproj[^/]*\.gguf$/i;

/**
 * Groups and sorts the files of a repo: GGUF quantisations by size, projectors, then the rest by name. The quantisations are the daemon's;
 * those of a daemon that names none are found by file name.
 */
export function groupFiles(files: readonly RepoFile[], quantisations?: readonly Quantisation[]): FileGroup[] {
  const known = new Map(quantisations?.flatMap((one) => one.files.map((path) => [path, one])));
  const groups = new Map<string, RepoFile[]>();
  for (const file of files) {
    const name = file.filePath.replace(PART, "");
    const group = groups.get(name);
    if (group) group.push(file);
    else groups.set(name, [file]);
  }
  return [...groups]
    .map(([name, parts]) => {
      const projector = PROJECTOR.test(name);
      const given = parts[0] && known.get(parts[0].filePath);
      const quantisation = projector ? null : quantisations ? (given?.name ?? null) : quantisationOf(name);
      return {
        name,
        quantisation,
        recommended: !projector && (given ? given.recommended : quantisation === "Q4_K_M"),
        projector,
        files: parts.sort((a, b) => a.filePath.localeCompare(b.filePath)),
        size: parts.some((part) => part.size === null) ? null : parts.reduce((sum, part) => sum + (part.size ?? 0), 0),
      };
    })
    .sort(
      (a, b) =>
        rank(a) - rank(b) ||
        (a.quantisation && b.quantisation ? (a.size ?? Infinity) - (b.size ?? Infinity) : 0) ||
        a.name.localeCompare(b.name),
    );
}

const rank = ({ quantisation, projector }: FileGroup) => (quantisation ? 0 : projector ? 1 : 2);

function quantisationOf(name: string): string | null {
  if (!/\.gguf$/i.test(name) || /imatrix/i.test(name)) return null;
  return QUANTISATION.exec(name.slice(0, -".gguf".length))?.[1]?.toUpperCase() ?? null;
}
