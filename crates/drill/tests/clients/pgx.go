// Connects with the string in the first argument and says who answers.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/jackc/pgx/v4"
)

const question = "select host(inet_server_addr()) || ' ' || pg_is_in_recovery()::text"

func main() {
	ctx := context.Background()
	connection, err := pgx.Connect(ctx, os.Args[1])
	if err == nil {
		defer connection.Close(ctx)
		var who string
		if err = connection.QueryRow(ctx, question).Scan(&who); err == nil {
			fmt.Println(who)
			return
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
