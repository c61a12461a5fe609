import { HfdmdProvider } from "hfdmd-nextjs/react";
import type { Metadata } from "next";
import type { ReactNode } from "react";

import "./globals.css";

export const metadata: Metadata = {
  title: "Model shelf",
  description: "An example of hfdmd-nextjs: download models from the Hugging Face Hub and watch them arrive",
};

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>
        <HfdmdProvider locale="en">{children}</HfdmdProvider>
      </body>
    </html>
  );
}
