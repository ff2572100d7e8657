defmodule Ledger.Application do
  use Application

  def start(_type, _args) do
    Supervisor.start_link(
      [
        {Registry, keys: :unique, name: Ledger.Names},
        {DynamicSupervisor, name: Ledger.Accounts, strategy: :one_for_one},
        {Task.Supervisor, name: Ledger.Tasks}
      ],
      strategy: :one_for_one
    )
    |> tap(fn {:ok, supervisor} ->
      Ledger.Setup.run(String.to_integer(System.get_env("LEDGER_ACCOUNTS", "300")))
      {:ok, _} = Supervisor.start_child(supervisor, {Ledger.Control, System.fetch_env!("LEDGER_CONTROL")})
    end)
  end
end
