// Connects with the string in the first argument and says who answers.
const { Client } = require("pg");

(async () => {
  const client = new Client({ connectionString: process.argv[2] });
  await client.connect();
  const { rows } = await client.query("select host(inet_server_addr()) || ' ' || pg_is_in_recovery()::text as who");
  console.log(rows[0].who);
  await client.end();
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
