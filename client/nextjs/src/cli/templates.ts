/** The files that `init` writes. The route files of the Pages Router have the names of the calls. */
import { ROUTES } from "../server/routes.js";

const COMMENT = `// allowAll is for an app that only you can reach. Before others can reach it, check the user here:
// authorize: async (request) => (await session(request))?.user.mayDownload === true
`;

const PAGE = (content: string, more = "") => `import { DownloadButton, DownloadQueue${more} } from "hfdmd-nextjs/react";

export default function Downloads() {
  return (
${content}
  );
}
`;

const MAIN = `    <main style={{ maxWidth: "56rem", margin: "2rem auto", padding: "0 1rem" }}>
      <DownloadButton modelRepo="Qwen/Qwen3-0.6B-GGUF" filePath="Qwen3-0.6B-Q8_0.gguf" />
      <DownloadQueue showInTitle />
    </main>`;

/** Path and content of each file for the App Router, below the folder that holds `app`. */
export function appFiles(typed: boolean): [path: string, content: string][] {
  const [ts, tsx] = typed ? ["ts", "tsx"] : ["js", "jsx"];
  return [
    [
      `app/api/hfdmd/[...path]/route.${ts}`,
      `import { allowAll, createRouteHandlers } from "hfdmd-nextjs/next";

${COMMENT}export const { GET, POST, PATCH, DELETE } = createRouteHandlers({ authorize: allowAll });
`,
    ],
    [`app/downloads/page.${tsx}`, PAGE(MAIN)],
  ];
}

/** The same for the Pages Router, below the folder that holds `pages`. */
export function pagesFiles(typed: boolean): [path: string, content: string][] {
  const [ts, tsx] = typed ? ["ts", "tsx"] : ["js", "jsx"];
  const others = [...new Set(ROUTES.map(({ segment }) => segment))].filter((call) => call !== "progress");
  return [
    [
      `utils/server/download.huggingface.${ts}`,
      `import { allowAll, createApiHandler } from "hfdmd-nextjs/next-pages";

${COMMENT}export const hfdmd = createApiHandler({ authorize: allowAll });
`,
    ],
    [`utils/server/progressTracker.${ts}`, 'export { hfdmd as progressTracker } from "./download.huggingface";\n'],
    [`pages/api/progress.${ts}`, 'export { progressTracker as default } from "../../utils/server/progressTracker";\n'],
    ...others.map((call): [string, string] => [
      `pages/api/${call}.${ts}`,
      'export { hfdmd as default } from "../../utils/server/download.huggingface";\n',
    ]),
    [
      `pages/downloads.${tsx}`,
      PAGE(
        `    <HfdmdProvider basePath="/api">\n${MAIN.replaceAll(/^/gm, "  ")}\n    </HfdmdProvider>`,
        ", HfdmdProvider",
      ),
    ],
  ];
}

export const customApp = (typed: boolean) =>
  typed
    ? `import type { AppProps } from "next/app";

export default function App({ Component, pageProps }: AppProps) {
  return <Component {...pageProps} />;
}
`
    : `export default function App({ Component, pageProps }) {
  return <Component {...pageProps} />;
}
`;
