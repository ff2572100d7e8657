defmodule FlyDeployAgent.Belongings do
  @moduledoc """
  What code that is tried elsewhere finds of the application: its environment, and the small tables and persistent terms of its own
  modules, the endpoint's among them. They hold secrets, so they go nowhere but into the scratch VM, and nothing of them is told.
  """

  # In bytes: of one application's environment, one term, one table, and of all tables.
  @bytes 262_144
  @term_bytes 65_536
  @table_bytes 262_144
  @tables_bytes 2_097_152
  # They belong to OTP and Elixir, and have their own there.
  @platform [:kernel, :stdlib, :elixir, :logger]
  # What signs and keeps keys for tokens.
  @tables [:"Elixir.Plug.Keys", :"Elixir.Plug.Crypto.Keys"]

  @type t :: %{
          env: [{atom, keyword}],
          terms: [{term, term}],
          tables: [{atom, options :: list, [tuple]}]
        }

  @doc "What there is of these applications, whose modules are `modules`."
  @spec of(apps :: [atom], modules :: MapSet.t(module)) :: t
  def of(apps, modules), do: %{env: env(), terms: terms(modules), tables: tables(apps)}

  defp env do
    for {app, _, _} <- :application.loaded_applications(),
        app not in @platform,
        values = :application.get_all_env(app),
        values != [],
        :erlang.external_size(values) <= @bytes,
        do: {app, values}
  end

  # Not all: OTP's and those of libraries hold references that only they understand.
  defp terms(modules) do
    for {key, value} <- :persistent_term.get(),
        own_key?(key, modules),
        :erlang.external_size(value) <= @term_bytes,
        do: {key, value}
  end

  defp own_key?(key, modules) when is_atom(key), do: key in modules

  defp own_key?(key, modules) when is_tuple(key),
    do: key |> Tuple.to_list() |> Enum.any?(&(is_atom(&1) and &1 in modules))

  defp own_key?(_key, _modules), do: false

  defp tables(apps) do
    word = :erlang.system_info(:wordsize)

    for(table <- :ets.all(), is_atom(table), small = small(table, apps, word), do: small)
    |> Enum.sort_by(&elem(&1, 1))
    |> Enum.reduce({[], @tables_bytes}, fn {table, bytes, options}, {taken, left} ->
      rows = if bytes <= left, do: rows(table)
      if rows, do: {[{table, options, rows} | taken], left - bytes}, else: {taken, left}
    end)
    |> elem(0)
  end

  defp small(table, apps, word) do
    with owner when is_pid(owner) <- :ets.info(table, :owner),
         true <- :ets.info(table, :protection) in [:public, :protected],
         true <- table in @tables or own?(owner, apps),
         words when is_integer(words) <- :ets.info(table, :memory),
         bytes when bytes <= @table_bytes <- words * word,
         type when type != :undefined <- :ets.info(table, :type),
         keypos when is_integer(keypos) <- :ets.info(table, :keypos) do
      {table, bytes, [type, keypos: keypos]}
    else
      _ -> nil
    end
  end

  defp own?(owner, apps) do
    case :application.get_application(owner) do
      {:ok, app} -> app in apps
      :undefined -> false
    end
  end

  # It may have gone meanwhile.
  defp rows(table) do
    :ets.tab2list(table)
  rescue
    ArgumentError -> nil
  end
end
