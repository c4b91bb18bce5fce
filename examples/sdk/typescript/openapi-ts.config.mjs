// The client of hey-api. Each answer is parsed by the generated zod schema of its operation.
export default {
  input: "openapi.json",
  output: { path: "generated/hey", module: { extension: ".js" } },
  plugins: [
    "@hey-api/client-fetch",
    "@hey-api/typescript",
    { name: "zod", dates: { offset: true } },
    { name: "@hey-api/sdk", validator: { response: "zod" } },
  ],
};
