import java.sql.DriverManager;

/** Connects with the URL in the first argument and says who answers. */
public class Jdbc {
  public static void main(String[] arguments) throws Exception {
    var question = "select host(inet_server_addr()) || ' ' || pg_is_in_recovery()::text";
    try (var connection = DriverManager.getConnection(arguments[0]);
        var statement = connection.createStatement();
        var rows = statement.executeQuery(question)) {
      rows.next();
      System.out.println(rows.getString(1));
    }
  }
}
