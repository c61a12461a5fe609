import { HfdmdProvider } from "hfdmd-nextjs/react";
import type { AppProps } from "next/app";

import "../app/globals.css";

export default function App({ Component, pageProps }: AppProps) {
  return (
    <HfdmdProvider basePath="/api" locale="en">
      <Component {...pageProps} />
    </HfdmdProvider>
  );
}
