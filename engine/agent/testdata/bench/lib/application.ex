defmodule Bench.Application do
  @moduledoc "BENCH_PROCESSES GenServers, spread over the callback modules."
  use Application

  def start(_type, _args) do
    children = [{Bench.Servers, count()}, {Ledger.Control, System.fetch_env!("LEDGER_CONTROL")}]
    Supervisor.start_link(children, strategy: :one_for_one)
  end

  defp count, do: String.to_integer(System.get_env("BENCH_PROCESSES", "100"))
end
