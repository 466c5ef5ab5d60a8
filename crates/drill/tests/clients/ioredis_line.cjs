// Evaluates the line in the first argument, which makes a client, and says who answers.
const Redis = require("ioredis");

(async () => {
  const client = new Function("Redis", `return ${process.argv[2]}`)(Redis);
  const info = await client.client("INFO");
  const role = await client.role();
  console.log(/laddr=(\S+)/.exec(info)[1], String(role[0]));
  client.disconnect();
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
