// An application with ioredis that finds its master through Sentinel. Prints `OK NUMBER SERVER` for each write.
//
// node ioredis.cjs MASTER PASSWORD HOST:PORT...      (NODE_PATH says where ioredis is)
const { Redis } = require("ioredis");

const [name, password, ...addresses] = process.argv.slice(2);
const sentinels = addresses.map((address) => {
  const [host, port] = address.split(":");
  return { host, port: Number(port) };
});
const options = { name, sentinels, password: password || undefined, failoverDetector: true };
const master = new Redis({ ...options, role: "master" });
const replica = new Redis({ ...options, role: "slave" });
for (const client of [master, replica]) client.on("error", (error) => console.error(error.message));

async function write() {
  try {
    const number = await master.incr("client:ioredis");
    const about = await master.call("CLIENT", "INFO");
    await replica.get("client:ioredis");
    console.log(`OK ${number} ${/ laddr=(\S+)/.exec(about)[1]}`);
  } catch (error) {
    console.error(error.message);
  }
  setTimeout(write, 50);
}
write();
