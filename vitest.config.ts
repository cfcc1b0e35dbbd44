import { defineConfig } from "vitest/config";

// Two projects: `fast` is the default run; `slow` holds the long ones (*.slow.test.ts).
const exclude = ["**/node_modules/**", "**/dist/**"];

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "fast",
          include: ["packages/*/test/**/*.test.ts", "test/**/*.test.ts"],
          exclude: [...exclude, "**/*.slow.test.ts"],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "slow",
          include: ["packages/*/test/**/*.slow.test.ts", "test/**/*.slow.test.ts"],
          exclude,
          testTimeout: 900_000,
        },
      },
    ],
  },
});
