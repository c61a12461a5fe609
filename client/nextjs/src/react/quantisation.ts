import type { Quantisation, RepoFile } from "../wire.js";

/** What is downloaded together: a quantisation, all parts of a split file, or a single file. */
export interface FileGroup {
  /** The path without the part number of a split file. */
  name: string;
  /** `Q4_K_M`, `BF16` and so on; null when it is no GGUF quantisation. */
  quantisation: string | null;
  /** The quantisation to take if you have no reason for another one. */
  recommended: boolean;
  /** A file that lets a GGUF model read images (`mmproj`). Quantisations bring the right one along. */
  projector: boolean;
  files: readonly RepoFile[];
  /** Null while the size of a file is unknown. */
  size: number | null;
}

const PART = /-\d{5}-of-\d{5}(?=\.[^./]+$)/;
export const isProjector = (path: string) => /mmproj[^/]*\.gguf$/i.test(path);

/** Groups the files of a repo: the daemon's quantisations in its order, then projectors, then the rest by name. */
export function groupFiles(files: readonly RepoFile[], quantisations: readonly Quantisation[] = []): FileGroup[] {
  const byPath = new Map(files.map((file) => [file.filePath, file]));
  const quantised = quantisations.map(({ name, files: paths, recommended, totalBytes }) => ({
    name: (paths[0] ?? name).replace(PART, ""),
    quantisation: name,
    recommended,
    projector: false,
    files: paths.flatMap((path) => byPath.get(path) ?? []),
    size: totalBytes,
  }));
  const taken = new Set(quantisations.flatMap((one) => one.files).filter((path) => !isProjector(path)));
  const groups = new Map<string, RepoFile[]>();
  for (const file of files.filter(({ filePath }) => !taken.has(filePath))) {
    const name = file.filePath.replace(PART, "");
    const group = groups.get(name);
    if (group) group.push(file);
    else groups.set(name, [file]);
  }
  const others = [...groups].map(([name, parts]) => ({
    name,
    quantisation: null,
    recommended: false,
    projector: isProjector(name),
    files: parts.sort((a, b) => a.filePath.localeCompare(b.filePath)),
    size: parts.some((part) => part.size === null) ? null : parts.reduce((sum, part) => sum + (part.size ?? 0), 0),
  }));
  others.sort((a, b) => Number(b.projector) - Number(a.projector) || a.name.localeCompare(b.name));
  return [...quantised, ...others];
}
