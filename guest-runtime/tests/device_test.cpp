// SPDX-License-Identifier: GPL-2.0-or-later
// Opening: what the options and the environment ask for, checked before the device is touched.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tandem/tandem.hpp"

namespace {

const char *const nowhere = "/nonexistent/tandem0";

class Environment {
public:
	Environment(const char *name, const char *value) : name_(name) { setenv(name, value, 1); }
	~Environment() { unsetenv(name_); }

private:
	const char *name_;
};

tandem::Error failure_to_open()
{
	tandem_open_options options = {0, nowhere, 0};
	auto opened = tandem::Device::open(&options);

	return opened ? tandem::Error{TANDEM_SUCCESS, "it opened"} : opened.error();
}

TEST(Open, SaysThatThereIsNoDevice)
{
	EXPECT_EQ(failure_to_open().status, TANDEM_ERROR_NO_DEVICE);
	EXPECT_NE(failure_to_open().text.find(nowhere), std::string::npos);
}

TEST(Open, RefusesAnUnknownTranslation)
{
	Environment wrong("TANDEM_TRANSLATION", "sideways");
	EXPECT_EQ(failure_to_open().status, TANDEM_ERROR_INVALID);
	EXPECT_NE(failure_to_open().text.find("sideways"), std::string::npos);
}

TEST(Open, RefusesAMigrationThatIsNeitherOnNorOff)
{
	Environment wrong("TANDEM_MIGRATE", "perhaps");
	EXPECT_EQ(failure_to_open().status, TANDEM_ERROR_INVALID);
	EXPECT_NE(failure_to_open().text.find("perhaps"), std::string::npos);
}

TEST(Open, TakesMigrationOnAndOff)
{
	for (const char *value : {"0", "1", ""}) {
		Environment right("TANDEM_MIGRATE", value);
		EXPECT_EQ(failure_to_open().status, TANDEM_ERROR_NO_DEVICE) << value;
	}
}

} // namespace
