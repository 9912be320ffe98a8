"""Result files of test runners, and the reports made from them."""
